/** The dialogs of the page, in one piece: loaded soon after the start, so that they are there when the server is not. */
export { default as apiDialog } from "../files/ApiDialog";
export { default as commandLine } from "../files/CommandDialog";
export { default as conflict } from "../files/Conflict";
export { default as missing } from "../files/Missing";
export { default as open } from "../files/OpenDialog";
export { default as saveAs } from "../files/SaveAs";
export { default as templates } from "../files/TemplatesDialog";
export { default as unreadable } from "../files/Unreadable";
export { default as quickAdd } from "../palette/QuickAdd";
export { default as askDialog } from "./Ask";
export { default as commandList } from "./CommandList";
export { default as findNode } from "./Find";
export { default as shortcuts } from "./Shortcuts";
