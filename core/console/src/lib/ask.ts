// Questions to the router, and what it says when it refuses.

import type { components } from './api';

/** Whoever takes longer does not answer. */
const ANSWER_MS = 5000;

/** Asks for something; nothing if the router does not answer. */
export async function get(path: string): Promise<Response | null> {
  return fetch(path, { signal: AbortSignal.timeout(ANSWER_MS) }).catch(() => null);
}

/** Asks for something that is there; nothing if it is not, or not to be had. */
export async function getJson<T>(path: string): Promise<T | null> {
  const response = await get(path);
  if (!response?.ok) return null;
  return (await response.json().catch(() => null)) as T | null;
}

/** Why something was not done. */
export interface Refused {
  /** What kind of problem it is, in a word of the router's; null where it did not answer. */
  kind: string | null;
  /** What happened this time, in English; may be empty. */
  detail: string;
}

/** The router did not say anything. */
export const NO_ANSWER: Refused = { kind: null, detail: '' };

/** What went wrong, as the router says it. */
export async function refusal(response: Response): Promise<Refused> {
  const problem = (await response.json().catch(() => null)) as Partial<
    components['schemas']['ProblemJson']
  > | null;
  return {
    kind: problem?.type?.replace('/problems/', '') ?? '',
    detail: problem?.detail ?? `${response.status} ${response.statusText}`,
  };
}

/** What became of a change: the answer, or why there is none. */
export type Changed<T> = { is: T } | { refused: Refused };

/** Asks for a change. */
export async function change<T>(method: 'POST' | 'DELETE', path: string, body?: object): Promise<Changed<T>> {
  const request: RequestInit = { method, signal: AbortSignal.timeout(ANSWER_MS) };
  if (body) {
    request.headers = { 'content-type': 'application/json' };
    request.body = JSON.stringify(body);
  }
  const response = await fetch(path, request).catch(() => null);
  if (!response) return { refused: NO_ANSWER };
  if (!response.ok) return { refused: await refusal(response) };
  try {
    const text = await response.text();
    return { is: (text ? JSON.parse(text) : null) as T };
  } catch {
    return { refused: NO_ANSWER };
  }
}
