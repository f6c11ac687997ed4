import { basename, isAbsolute, join, resolve } from 'node:path';
import { catalogue, catalogued, type CatalogueModel, type HubFile, type PackagePart } from './catalogue.ts';
import { ModelError } from './model-error.ts';

/** What a model specification asks for. */
export type WantedModel = OwnModel | FolderModel;

/** A file of the user's; used as it is, wherever it lies. */
export interface OwnModel {
  readonly kind: 'own';
  readonly id: string;
  readonly path: string;
}

/** A file of the models folder, fetched when it is not there. */
export interface FolderModel {
  readonly kind: 'folder';
  readonly id: string;
  readonly path: string;
  readonly sha256?: string;
  readonly quant?: string;
  readonly licence?: string;
  /** Exact size. */
  readonly bytes?: number;
  /** Size where it is not known exactly. */
  readonly aboutBytes?: number;
  readonly hub?: HubFile;
  readonly packages: readonly PackagePart[];
  readonly writtenBy?: CatalogueModel['writtenBy'];
}

/**
 * Reads a specification: a catalogue name, a path (or the name of a `.gguf` file in the models folder), or
 * `hf:owner/repository/file.gguf`. Touches no disk.
 * @throws ModelError `unknown`
 */
export function wantedModel(spec: string, modelsDir: string): WantedModel {
  const listed = catalogued(spec);
  if (listed !== undefined) {
    const { id, file, bytes, exact, sha256, quant, licence, hub, packages, writtenBy } = listed;
    const size = exact ? { bytes } : { aboutBytes: bytes };
    const hash = sha256 === undefined ? {} : { sha256 };
    const source = {
      packages,
      ...(hub === undefined ? {} : { hub }),
      ...(writtenBy === undefined ? {} : { writtenBy }),
    };
    return { kind: 'folder', id, path: join(modelsDir, file), ...hash, ...size, quant, licence, ...source };
  }
  if (spec.startsWith('hf:')) return hubModel(spec, modelsDir);
  if (/[/\\]/.test(spec) || isAbsolute(spec)) return { kind: 'own', id: idOf(spec), path: resolve(spec) };
  if (/\.gguf$/i.test(spec)) return { kind: 'own', id: idOf(spec), path: join(modelsDir, spec) };
  const names = catalogue.map((model) => model.id).join(', ');
  throw new ModelError(
    'unknown',
    `No model is called "${spec}". Known are ${names}; or give the path of a .gguf file, or hf:owner/repository/file.gguf.`,
  );
}

function hubModel(spec: string, modelsDir: string): FolderModel {
  const [owner, name, ...folders] = spec.slice('hf:'.length).split('/');
  const file = folders.join('/');
  const segments = [owner, name, ...folders];
  // A segment becomes part of a URL and of a file name: nothing that could lead out of either.
  const isClean = segments.every((segment) => segment !== undefined && /^\w[\w.+-]*$/.test(segment));
  if (!isClean || owner === undefined || name === undefined || !/\.gguf$/i.test(file)) {
    throw new ModelError('unknown', `"${spec}" is not of the form hf:owner/repository/file.gguf.`);
  }
  if (/-\d{5}-of-\d{5}\.gguf$/i.test(file)) {
    throw new ModelError('unknown', `"${spec}" is one part of a split model. Choose a model that is a single file.`);
  }
  const repository = `${owner}/${name}`;
  const local = [owner, name, ...folders].join('--');
  return { kind: 'folder', id: idOf(file), path: join(modelsDir, local), hub: { repository, file }, packages: [] };
}

function idOf(path: string): string {
  return basename(path.replaceAll('\\', '/')).replace(/\.gguf$/i, '');
}
