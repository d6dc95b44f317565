/** `Problem`: something went wrong, in a sentence for people, with what to do about it. */

export class Problem extends Error {
  /**
   * @param {string} sentence
   * @param {string} [remedy]  another sentence
   * @param {number} [status]  of the answer, where there was one
   */
  constructor(sentence, remedy = "", status = 0) {
    super(sentence);
    this.remedy = remedy;
    this.status = status;
  }

  get text() {
    return `${this.message} ${this.remedy}`.trim();
  }

  /** The same of a file, where many files are looked at. @param {string} name */
  of(name) {
    return new Problem(`${name}: ${this.message}`, this.remedy, this.status);
  }

  /** @param {unknown} error */
  static from(error) {
    if (error instanceof Problem) return error;
    return new Problem("Unexpected error in this page.", `Reload the page; if the error persists, report it: ${error}`);
  }
}

/** @param {unknown} error */
export const isAbort = (error) => error instanceof DOMException && error.name === "AbortError";

export const unreachable = () =>
  new Problem("The service does not answer.", "Check that “mien serve” is running, then try again.");

/**
 * A service's refusal (RFC 9457).
 * @param {Response} response
 */
export async function refusal(response) {
  try {
    const { detail, title, remedy = "" } = await response.json();
    return new Problem(detail || title, detail?.includes(remedy) ? "" : remedy, response.status);
  } catch {
    return new Problem(`The service answered with status ${response.status}.`, "Try again.", response.status);
  }
}
