/** The page: bar above, palette left, canvas in the middle, one panel right; dialogs and notices over all of it. */
import { Canvas } from "./canvas/Canvas";
import { StartCard } from "./files/StartCard";
import { Palette } from "./palette/Palette";
import { Banner } from "./runs/Banner";
import { SidePanel } from "./runs/SidePanel";
import { Dialogs } from "./shell/Dialogs";
import { Notices } from "./shell/Notices";
import { Safety } from "./shell/Safety";
import { TopBar } from "./shell/TopBar";
import { useTheme } from "./shell/theme";

export function App() {
  const theme = useTheme();
  return (
    <div className="lg" data-theme={theme}>
      <TopBar />
      <Banner />
      <div className="lg-body">
        <Palette />
        <Safety part="The canvas">
          <Canvas />
          <StartCard />
        </Safety>
        <Safety part="The panel"><SidePanel /></Safety>
      </div>
      <Dialogs />
      <Notices />
    </div>
  );
}
