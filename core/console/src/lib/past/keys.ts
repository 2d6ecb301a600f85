// Which key does what while recordings can be seen. Pure.

export type Act =
  | { act: 'toggle' | 'pause' | 'faster' | 'slower' | 'live' | 'cut' | 'near' | 'far' }
  /** By so many pictures. */
  | { act: 'step'; by: 1 | -1 }
  /** By so many ms. */
  | { act: 'move'; by: number };

interface Pressed {
  key: string;
  shiftKey: boolean;
}

const SECOND = 1000;

export function actOf({ key, shiftKey }: Pressed): Act | null {
  switch (key) {
    case ' ':
      return { act: 'toggle' };
    case 'ArrowLeft':
      return { act: 'move', by: shiftKey ? -60 * SECOND : -SECOND };
    case 'ArrowRight':
      return { act: 'move', by: shiftKey ? 60 * SECOND : SECOND };
    case ',':
    case '<':
      return { act: 'step', by: -1 };
    case '.':
    case '>':
      return { act: 'step', by: 1 };
    case 'End':
      return { act: 'live' };
    case '+':
    case '=':
      return { act: 'near' };
    case '-':
      return { act: 'far' };
  }
  switch (key.toLowerCase()) {
    case 'j':
      return { act: 'slower' };
    case 'k':
      return { act: 'pause' };
    case 'l':
      return { act: 'faster' };
    case 'c':
      return { act: 'cut' };
  }
  return null;
}
