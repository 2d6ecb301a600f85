// Who sits here, as that person says: asked once, kept in this browser, until accounts exist.

const KEY = 'taimat.person';
/** As long as the router takes. */
export const LONGEST_NAME = 80;

class Person {
  name = $state(localStorage.getItem(KEY) ?? '');
  /** The name is being asked for. */
  asking = $state(false);
  #waiting: ((name: string | null) => void)[] = [];

  /** The name; asks for it if it is not known. Null if it is not given. */
  who = (): Promise<string | null> => {
    if (this.name) return Promise.resolve(this.name);
    return this.change();
  };

  /** Asks for the name. */
  change = (): Promise<string | null> => {
    this.asking = true;
    return new Promise((resolve) => this.#waiting.push(resolve));
  };

  /** The name is given, or not. */
  give = (name: string | null): void => {
    const given = name?.trim().slice(0, LONGEST_NAME) ?? '';
    if (given) {
      this.name = given;
      localStorage.setItem(KEY, given);
    }
    this.asking = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    waiting.forEach((resolve) => resolve(given || null));
  };
}

export const person = new Person();
