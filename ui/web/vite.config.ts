import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

interface ModuleInfo {
  isEntry: boolean;
  importers: readonly string[];
}
const atStart = new Map<string, boolean>();

/** Whether a module is needed at the start: the entry, or imported (not lazily) by one that is. */
function neededAtStart(id: string, info: (id: string) => ModuleInfo | null): boolean {
  const known = atStart.get(id);
  if (known !== undefined) return known;
  atStart.set(id, false); // for circles
  const found = info(id);
  const needed = found !== null && (found.isEntry || found.importers.some((importer) => neededAtStart(importer, info)));
  atStart.set(id, needed);
  return needed;
}

// An ES module (`main`) that the Python side finds through the manifest, and hashed chunks: one with all that is needed
// at the start, and one for each part that is loaded later. Not `build.lib`: that keeps white space (half as large again).
export default defineConfig({
  plugins: [react()],
  base: "./",
  build: {
    outDir: "../static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    cssCodeSplit: false,
    manifest: "manifest.json",
    license: { fileName: "licenses.md" },
    chunkSizeWarningLimit: 700,
    rolldownOptions: {
      input: "src/main.tsx",
      preserveEntrySignatures: "strict",
      output: {
        entryFileNames: "main-[hash].js",
        chunkFileNames: "[name]-[hash].js",
        assetFileNames: "[name]-[hash][extname]",
        codeSplitting: {
          groups: [
            {
              debugName: "at the start",
              name: (id, context) => (neededAtStart(id, (each) => context.getModuleInfo(each)) ? "canvas" : null),
            },
          ],
        },
      },
    },
  },
});
