/** The dialogs of runs; each is loaded when it is first opened. */
import { registerDialog } from "../shell/registry";

registerDialog("trace", () => import("./Trace"));
registerDialog("pictures", () => import("./LargeView"));
registerDialog("table", () => import("./LargeTable"));
