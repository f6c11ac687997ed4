import { CopyButton } from './copy-button.tsx';

/** A command or snippet to copy. */
export function Command({ text }: { text: string }) {
  return (
    <div class="command">
      <pre tabIndex={0}>{text}</pre>
      {/* Another text has not been copied yet. */}
      <CopyButton key={text} text={() => text} />
    </div>
  );
}
