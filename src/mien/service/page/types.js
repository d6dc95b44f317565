/**
 * The shapes that the modules hand to one another. Nothing runs here.
 *
 * @typedef {{x: number, y: number, width: number, height: number}} Box  pixels of the upright image
 * @typedef {{label: string, values: number[][], transform: number[][]}} Heat  see heat.js
 *
 * @typedef {object} Face  as the service answers
 * @property {Box} box
 * @property {string} label
 * @property {number} score
 * @property {Object<string, number>} probabilities
 * @property {number} confidence
 * @property {?Object<string, [number, number]>} landmarks
 * @property {?Heat} [heat]
 * @property {?number} [track]
 *
 * @typedef {object} Row  a frame of a video or of the webcam
 * @property {number} frame
 * @property {number} seconds
 * @property {number} width
 * @property {number} height
 * @property {Face[]} faces
 *
 * @typedef {{labelSet: ?string, explain: boolean, every: number, threshold: number}} Options
 * @typedef {{max_bytes: number, max_pixels: number, max_video_bytes?: number}} Limits
 *
 * @typedef {object} Model  what /v1/model answers
 * @property {string} name
 * @property {string} version
 * @property {Object<string, any>} card
 * @property {Object<string, string[]>} label_sets
 * @property {Limits} limits
 */

export {};
