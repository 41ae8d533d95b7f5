/** More than this, in bytes (unpacked, where it comes in a picture), is no workflow that a canvas can show. */
export const LARGEST = 20 * 2 ** 20;
