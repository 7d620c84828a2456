/** The colours of tracklets: bright enough for any picture, with dark text on them. The number beside them tells twins apart. */
export const COLOURS = ["#45ecc6", "#ffb454", "#c3b5ff", "#f2e07a", "#9bdcff", "#ff9d9d", "#8fe388", "#f5a3e0"];
export const INK = "#0e1013";
export const QUIET = "#c9ced6"; // what is not followed

export const colourOf = (trackletId) => (trackletId === null ? QUIET : COLOURS[trackletId % COLOURS.length]);
export const CLASSES = ["upper", "lower", "full", "footwear", "headwear", "goods"];
export const QUALITIES = [["viewpoint", "from the front"], ["occlusion", "nothing before it"], ["crop", "whole"]];
export const shareText = (value) => value.toFixed(2).replace(/^0/, "");
