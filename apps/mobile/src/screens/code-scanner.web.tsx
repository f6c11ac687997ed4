import { Notice } from './parts';

/** A browser shows the screens with made-up data and has no camera to scan with. */
export function CodeScanner() {
  return <Notice text="Point the camera at the code that the router shows." />;
}
