import { useState } from 'preact/hooks';

/** A button that copies what `text` gives then. */
export function CopyButton({ text, label = 'Copy' }: { text: () => string; label?: string }) {
  const [copied, setCopied] = useState(false);
  const copy = (): void => {
    void copyText(text()).then(setCopied);
  };
  return (
    <button type="button" class="quiet" onClick={copy}>
      {copied ? 'Copied' : label}
    </button>
  );
}

/** Without TLS, on another machine than the router's, a page has no `navigator.clipboard`. */
async function copyText(text: string): Promise<boolean> {
  if (isSecureContext) {
    await navigator.clipboard.writeText(text);
    return true;
  }
  const area = document.createElement('textarea');
  area.value = text;
  document.body.append(area);
  area.select();
  try {
    return document.execCommand('copy');
  } finally {
    area.remove();
  }
}
