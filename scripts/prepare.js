// Run by npm once a clone's packages are installed: builds the bundle. Without esbuild (`--omit=dev`) or Node 24 there
// is none, and LFO runs its sources. Plain JavaScript, since whatever Node npm found runs this.
import { createRequire } from 'node:module';

const isNew = Number(process.versions.node.split('.')[0]) >= 24;
if (isNew && hasEsbuild()) {
  try {
    const { bundleClone } = await import('./bundle.ts');
    await bundleClone();
  } catch (error) {
    // An install is not to fail for want of a faster start.
    process.stderr.write(`The bundle could not be made, so LFO starts from its sources: ${error.message}\n`);
  }
}

function hasEsbuild() {
  try {
    createRequire(import.meta.url).resolve('esbuild');
    return true;
  } catch {
    return false;
  }
}
