// Every text of the console, in both languages. Nothing is written outside this catalogue.

const en = {
  wall: 'Live',
  camera: 'Camera',
  communes: 'Commune',
  allCommunes: 'All communes',
  layout: 'Layout',
  layoutAuto: 'Automatic',
  layoutN: '{n} pictures',
  fullscreen: 'Full screen',
  theme: 'Light or dark',
  language: 'Ngôn ngữ: Tiếng Việt',
  languageCode: 'VI',
  keys: 'Keys',
  close: 'Close',
  back: 'Back to all cameras',
  page: 'Page {n} of {m}',
  next: 'Next cameras',
  previous: 'Previous cameras',
  sound: 'Sound',
  mute: 'Mute',
  unmute: 'Listen',
  main: 'Full picture',
  sub: 'Small picture',
  open: 'Open {camera}',

  state_connecting: 'Connecting',
  state_live: 'Live',
  state_stalled: 'No picture',
  state_offline: 'Offline',
  since: 'since {time}',
  age: 'picture {seconds} s old',
  retrying: 'trying again',
  retryIn: 'next attempt in {seconds} s',

  cause_unreachable: 'The camera does not answer at its address.',
  cause_refused: 'The camera refuses the connection.',
  cause_unauthorized: 'User or password of the camera is wrong.',
  cause_not_found: 'The camera does not know this path.',
  cause_protocol: 'The camera answers, but not as expected.',
  cause_unsupported_codec: 'The camera sends no H.264 or H.265 video.',
  cause_stalled: 'The camera is connected but sends no picture.',
  cause_garbage: 'The camera sends data that is not video.',
  cause_no_keyframe: 'The camera sends no key frame; shorten its keyframe interval.',
  cause_ended: 'The camera closed the connection.',
  cause_missing_secret: 'The camera’s password is not set on the router.',
  cause_starting: 'The camera is being started.',
  cause_router: 'No answer from the router.',
  cause_udp: 'No path for the picture: UDP to the router is blocked.',
  cause_codec: 'This browser can not play the camera’s video; set the camera to H.264.',
  cause_full: 'Too many viewers at the moment.',
  cause_gone: 'This camera is no longer configured.',
  cause_lost: 'The connection to the router was lost.',
  cause_other: 'The picture could not be opened.',

  stats: 'Statistics',
  stat_delay: 'Delay',
  stat_bitrate: 'Bit rate',
  stat_loss: 'Loss',
  stat_resolution: 'Resolution',
  stat_rate: 'Pictures a second',
  stat_codec: 'Codec',
  stat_keyframes: 'Keyframe interval',
  stat_viewers: 'Viewers',
  stat_connect: 'Connected in',
  stat_first: 'First picture after',
  stat_source: 'Camera',
  stat_reconnects: 'Reconnections',
  none: 'none',

  emptyTitle: 'No camera yet',
  emptyText: 'Add one to the commune’s file commune.toml; it appears here within a second:',
  problems: 'The configuration was changed and has mistakes. What ran goes on.',
  routerLost: 'No answer from the router. Trying again…',

  plugins: 'Plugins',
  plugins_emptyTitle: 'No plugin yet',
  plugins_emptyText:
    'A plugin looks at the pictures and says what it sees. Put its file into the folder “plugins” of the commune and add to commune.toml:',
  plugin_running: 'Running',
  plugin_probation: 'Running, on probation',
  plugin_loading: 'Being loaded',
  plugin_refused: 'Refused',
  plugin_disabled: 'Switched off',
  plugin_suspended: 'Suspended at a camera',
  plugin_enable: 'Switch on',
  plugin_disable: 'Switch off',
  plugin_upload: 'Replace file…',
  plugin_log: 'Log',
  plugin_version: 'Version',
  plugin_generation: 'Loaded for the … time',
  plugin_cameras: 'Cameras',
  plugin_detections: 'Detections',
  plugin_memory: 'Memory: used / allowed',
  plugin_call: 'CPU time of a call: mean / allowed',
  plugin_skipped: 'Frames not looked at',
  plugin_ended: 'Ended by',
  plugin_signer: 'Signed by',
  plugin_unsigned: 'nobody',
  ended_trap: 'fault',
  ended_cpu: 'CPU time',
  ended_wall: 'waiting',
  ended_memory: 'memory',
  ended_stack: 'stack',
  ended_volume: 'too many bytes',
  ended_contract: 'wrong answer',
  ended_fatal: 'itself',
  ended_start: 'start',
  marks: 'Show what plugins see',
  kind_motion: 'Movement',
  kind_change: 'Change',
  'kind_tamper-covered': 'Camera covered',
  'kind_tamper-moved': 'Camera turned',
  'kind_tamper-defocused': 'Out of focus',
  'kind_tamper-frozen': 'Picture frozen',

  keysTitle: 'Keyboard',
  key_arrows: 'move between cameras',
  key_enter: 'open the camera',
  key_escape: 'back to all cameras',
  key_digits: 'layout: 1, 4, 9, 16 pictures; 0 automatic',
  key_pages: 'next and previous cameras',
  key_f: 'full screen',
  key_m: 'sound on and off',
  key_p: 'plugins',
  key_d: 'show what plugins see',
  key_help: 'this list',
};

export type Word = keyof typeof en;

const vi: Record<Word, string> = {
  wall: 'Trực tiếp',
  camera: 'Camera',
  communes: 'Phường, xã',
  allCommunes: 'Tất cả phường, xã',
  layout: 'Bố cục',
  layoutAuto: 'Tự động',
  layoutN: '{n} hình',
  fullscreen: 'Toàn màn hình',
  theme: 'Sáng hoặc tối',
  language: 'Language: English',
  languageCode: 'EN',
  keys: 'Phím tắt',
  close: 'Đóng',
  back: 'Về tất cả camera',
  page: 'Trang {n} trên {m}',
  next: 'Các camera tiếp theo',
  previous: 'Các camera trước',
  sound: 'Âm thanh',
  mute: 'Tắt tiếng',
  unmute: 'Bật tiếng',
  main: 'Hình đầy đủ',
  sub: 'Hình thu nhỏ',
  open: 'Mở {camera}',

  state_connecting: 'Đang kết nối',
  state_live: 'Trực tiếp',
  state_stalled: 'Mất hình',
  state_offline: 'Mất kết nối',
  since: 'từ {time}',
  age: 'hình cũ {seconds} giây',
  retrying: 'đang thử lại',
  retryIn: 'thử lại sau {seconds} giây',

  cause_unreachable: 'Camera không trả lời ở địa chỉ đã khai báo.',
  cause_refused: 'Camera từ chối kết nối.',
  cause_unauthorized: 'Sai tên hoặc mật khẩu của camera.',
  cause_not_found: 'Camera không có đường dẫn này.',
  cause_protocol: 'Camera trả lời không đúng giao thức.',
  cause_unsupported_codec: 'Camera không gửi hình H.264 hoặc H.265.',
  cause_stalled: 'Camera đã kết nối nhưng không gửi hình.',
  cause_garbage: 'Dữ liệu camera gửi không phải là hình.',
  cause_no_keyframe: 'Camera không gửi khung hình khóa; hãy giảm khoảng cách khung hình khóa.',
  cause_ended: 'Camera đã ngắt kết nối.',
  cause_missing_secret: 'Chưa đặt mật khẩu của camera trên máy chủ.',
  cause_starting: 'Camera đang khởi động.',
  cause_router: 'Máy chủ không trả lời.',
  cause_udp: 'Hình không đến được: UDP tới máy chủ bị chặn.',
  cause_codec: 'Trình duyệt không xem được hình của camera; hãy đặt camera sang H.264.',
  cause_full: 'Hiện có quá nhiều người xem.',
  cause_gone: 'Camera này không còn được khai báo.',
  cause_lost: 'Đã mất kết nối với máy chủ.',
  cause_other: 'Không mở được hình.',

  stats: 'Thông số',
  stat_delay: 'Độ trễ',
  stat_bitrate: 'Tốc độ dữ liệu',
  stat_loss: 'Mất gói',
  stat_resolution: 'Độ phân giải',
  stat_rate: 'Số hình mỗi giây',
  stat_codec: 'Chuẩn nén',
  stat_keyframes: 'Khoảng cách khung hình khóa',
  stat_viewers: 'Người xem',
  stat_connect: 'Kết nối trong',
  stat_first: 'Có hình sau',
  stat_source: 'Camera',
  stat_reconnects: 'Số lần kết nối lại',
  none: 'không',

  emptyTitle: 'Chưa có camera',
  emptyText: 'Thêm camera vào tệp commune.toml của phường, xã; hình hiện ra ở đây sau một giây:',
  problems: 'Cấu hình mới có lỗi nên chưa được áp dụng. Cấu hình cũ vẫn đang chạy.',
  routerLost: 'Máy chủ không trả lời. Đang thử lại…',

  plugins: 'Tiện ích',
  plugins_emptyTitle: 'Chưa có tiện ích',
  plugins_emptyText:
    'Tiện ích xem hình và báo điều nó thấy. Đặt tệp vào thư mục “plugins” của phường, xã rồi thêm vào commune.toml:',
  plugin_running: 'Đang chạy',
  plugin_probation: 'Đang chạy thử',
  plugin_loading: 'Đang nạp',
  plugin_refused: 'Bị từ chối',
  plugin_disabled: 'Đã tắt',
  plugin_suspended: 'Tạm ngưng ở một camera',
  plugin_enable: 'Bật',
  plugin_disable: 'Tắt',
  plugin_upload: 'Thay tệp…',
  plugin_log: 'Nhật ký',
  plugin_version: 'Phiên bản',
  plugin_generation: 'Lần nạp thứ',
  plugin_cameras: 'Camera',
  plugin_detections: 'Số lần phát hiện',
  plugin_memory: 'Bộ nhớ: đang dùng / cho phép',
  plugin_call: 'CPU mỗi lần gọi: trung bình / cho phép',
  plugin_skipped: 'Số hình bỏ qua',
  plugin_ended: 'Bị dừng vì',
  plugin_signer: 'Người ký',
  plugin_unsigned: 'chưa ký',
  ended_trap: 'lỗi chương trình',
  ended_cpu: 'thời gian CPU',
  ended_wall: 'chờ quá lâu',
  ended_memory: 'bộ nhớ',
  ended_stack: 'ngăn xếp',
  ended_volume: 'quá nhiều dữ liệu',
  ended_contract: 'trả lời sai',
  ended_fatal: 'tự dừng',
  ended_start: 'khởi động',
  marks: 'Hiện điều tiện ích thấy',
  kind_motion: 'Chuyển động',
  kind_change: 'Thay đổi',
  'kind_tamper-covered': 'Camera bị che',
  'kind_tamper-moved': 'Camera bị xoay',
  'kind_tamper-defocused': 'Hình bị mờ',
  'kind_tamper-frozen': 'Hình đứng yên',

  keysTitle: 'Phím tắt',
  key_arrows: 'chuyển giữa các camera',
  key_enter: 'mở camera',
  key_escape: 'về tất cả camera',
  key_digits: 'bố cục: 1, 4, 9, 16 hình; 0 tự động',
  key_pages: 'các camera tiếp theo và trước đó',
  key_f: 'toàn màn hình',
  key_m: 'bật tắt tiếng',
  key_p: 'tiện ích',
  key_d: 'hiện điều tiện ích thấy',
  key_help: 'bảng này',
};

const catalogue = { vi, en };
export type Language = keyof typeof catalogue;

function initial(): Language {
  const stored = localStorage.getItem('taimat.language');
  if (stored === 'vi' || stored === 'en') return stored;
  return navigator.language.startsWith('en') ? 'en' : 'vi';
}

class I18n {
  language = $state<Language>(initial());

  /** The text for a word, its {parts} filled in. */
  t = (word: Word, parts: Record<string, string | number> = {}): string =>
    catalogue[this.language][word].replace(/\{(\w+)\}/g, (_, name: string) =>
      String(parts[name] ?? ''),
    );

  /** The sentence for a cause from the API. */
  cause = (cause: string | null | undefined): string => {
    const word = `cause_${cause ?? 'other'}` as Word;
    return word in en ? this.t(word) : this.t('cause_other');
  };

  /** What a detection's kind is called; one that only its author knows is shown as it is. */
  kind = (kind: string): string => {
    const word = `kind_${kind}` as Word;
    return word in en ? this.t(word) : kind;
  };

  toggle = (): void => {
    this.language = this.language === 'vi' ? 'en' : 'vi';
    localStorage.setItem('taimat.language', this.language);
    document.documentElement.lang = this.language;
  };
}

export const i18n = new I18n();
document.documentElement.lang = i18n.language;
