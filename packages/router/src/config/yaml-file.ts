import {
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  parse,
  parseDocument,
  Scalar,
  visit,
  type Document,
} from 'yaml';
import { ConfigError, type ConfigProblem } from './config-error.ts';
import type { Environment } from './environment.ts';

/** A parsed configuration file that still knows its lines. */
export interface YamlFile {
  /** Plain data with `${VARIABLES}` filled in. */
  readonly value: unknown;
  /** The same as it was written, for whoever must tell a literal from a reference. */
  readonly written: unknown;
  /** Line of a key or list item, 1-based; of the nearest enclosing one where the path does not exist. */
  lineOf(path: readonly PropertyKey[]): number;
}

/**
 * Parses the text of a configuration file. `${NAME}` in a value becomes that variable, `${NAME:-text}` has a
 * fallback; the replacement is never parsed as YAML structure. With `onUnset` a variable that is not set is told to it,
 * and something of the right form stands in its place.
 * @throws ConfigError with a line for bad YAML and for a variable that is not set.
 */
export function parseYamlFile(
  text: string,
  fileName: string,
  env: Environment,
  onUnset?: (name: string) => void,
): YamlFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const problems: ConfigProblem[] = document.errors.map((error) => ({
    where: `${fileName}:${lines.linePos(error.pos[0]).line}`,
    message: `is not valid YAML: ${error.message}`,
  }));
  const written: unknown = problems.length === 0 ? (document.toJS() ?? {}) : {};
  if (problems.length === 0) {
    problems.push(
      ...substitute(document, env, onUnset).map(({ offset, name }) => ({
        where: `${fileName}:${lines.linePos(offset).line}`,
        message: `\${${name}} is not set: export ${name}, or give a fallback with \${${name}:-…}`,
      })),
    );
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return {
    value: document.toJS() ?? {},
    written,
    lineOf: (path) => lines.linePos(offsetOf(document, path)).line,
  };
}

const variable = /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g;

function substitute(
  document: Document,
  env: Environment,
  onUnset: ((name: string) => void) | undefined,
): { offset: number; name: string }[] {
  const missing: { offset: number; name: string }[] = [];
  visit(document, {
    Scalar(key, node, path) {
      if (key === 'key' || typeof node.value !== 'string' || !node.value.includes('${')) return;
      const filled = node.value.replace(variable, (_match, name: string, fallback: string | undefined) => {
        const value = env[name] ?? fallback;
        if (value !== undefined) return value;
        if (onUnset === undefined) missing.push({ offset: node.range?.[0] ?? 0, name });
        onUnset?.(name);
        return onUnset === undefined ? '' : standIn(path);
      });
      // An unquoted ${PORT} is meant as the number it holds.
      const isTyped = node.type === Scalar.PLAIN && /^(-?\d+(\.\d+)?|true|false)$/.test(filled);
      node.value = isTyped ? parse(filled) : filled;
    },
  });
  return missing;
}

/** What passes for the value of a key, which is all that is known. */
function standIn(path: readonly unknown[]): string {
  const pair = path.findLast(isPair);
  const key = isScalar(pair?.key) ? String(pair.key.value) : '';
  if (key === 'database_url') return 'postgresql://unset@localhost/unset';
  if (/(_url|endpoint)$/.test(key)) return 'http://localhost';
  return /(token|key)$/.test(key) ? 'unset-variable-unset-variable-unset' : '1';
}

function offsetOf(document: Document, path: readonly PropertyKey[]): number {
  let node: unknown = document.contents;
  let offset = isNode(node) ? (node.range?.[0] ?? 0) : 0;
  for (const part of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && key.value === part);
      if (pair === undefined) return offset;
      if (isNode(pair.key)) offset = pair.key.range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node) && typeof part === 'number') {
      node = node.items[part];
      if (isNode(node)) offset = node.range?.[0] ?? offset;
    } else return offset;
  }
  return offset;
}
