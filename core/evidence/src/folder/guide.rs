//! `HUONG-DAN.txt`: how to play and check the folder without us.

/// The text; the fingerprint is that of the root.
pub(super) fn text(fingerprint: &str) -> String {
    format!(
        "\
HƯỚNG DẪN KIỂM TRA
==================
Các tệp data/*.mp4 xem được bằng mọi trình phát. Không chuyển mã, không gửi qua Zalo hay các mạng
khác: chữ ký trong tệp sẽ mất. Hãy sao chép nguyên cả thư mục.

1. So sánh dấu vân tay của chứng thư gốc với biên bản giấy:
   openssl x509 -in commune-root.pem -noout -fingerprint -sha256
   {fingerprint}
2. Kiểm tra tất cả (không cần mạng):
   taimat evidence verify --root commune-root.pem .
   0 nguyên vẹn · 1 bị thay đổi · 2 không có chữ ký · 3 người ký không đúng · 4 chứng thư không hợp lệ
3. Kiểm tra bằng công cụ khác:
   sha256sum -c manifest-sha256.txt
   sha256sum -c tagmanifest-sha256.txt
   openssl cms -verify -binary -inform PEM -in tagmanifest-sha256.txt.p7s \\
     -content tagmanifest-sha256.txt -CAfile commune-root.pem -purpose any -out /dev/null
4. In data/bien-ban.html, đối chiếu SHA-256 và ký tên.
5. Cán bộ có thiết bị ký số có thể ký thêm vào cùng tệp chữ ký:
   openssl cms -resign -inform PEM -in tagmanifest-sha256.txt.p7s -outform PEM \\
     -signer chung-thu.pem -inkey khoa.pem -md sha256 -out tagmanifest-sha256.txt.p7s

HOW TO CHECK
============
data/*.mp4 plays in any player. Do not convert it and do not send it by messengers: they take the
signature out. Copy the whole folder.

1. Compare the root's fingerprint with the one on paper:
   openssl x509 -in commune-root.pem -noout -fingerprint -sha256
   {fingerprint}
2. Check everything (without a network):
   taimat evidence verify --root commune-root.pem .
   0 genuine · 1 changed · 2 unsigned · 3 signer not trusted · 4 certificate not valid then
3. Check with tools of others:
   sha256sum -c manifest-sha256.txt
   sha256sum -c tagmanifest-sha256.txt
   openssl cms -verify -binary -inform PEM -in tagmanifest-sha256.txt.p7s \\
     -content tagmanifest-sha256.txt -CAfile commune-root.pem -purpose any -out /dev/null
   encypher-c2pa verify data/CLIP.mp4 --trust commune-root.pem --no-default-trust
   (read both lines, integrity and trust; it reads clips up to 128 MiB)
   What a clip says of itself (camera, clock, gaps, who took it out and why) is in its C2PA manifest,
   in the assertion vn.taimat.evidence.
4. Print data/bien-ban.html, compare the SHA-256 and sign it.
5. An officer with a token may sign beside the commune: see above.

A signature shows that nothing was changed since the recording. It does not show that the camera was
honest.
"
    )
}
