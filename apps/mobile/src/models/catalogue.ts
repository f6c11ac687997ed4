/** A model that the phone can fetch. */
export interface PhoneModel {
  readonly id: string;
  readonly title: string;
  /** What it is good for, in a sentence. */
  readonly about: string;
  readonly engine: 'cactus' | 'llama.rn';
  readonly quant: string;
  readonly megabytes: number;
  readonly licence: string;
  /** On the model hub. */
  readonly source: { readonly repository: string; readonly revision: string; readonly file: string };
  /** Hex; absent: the hub's own word is taken when it is fetched, and kept. */
  readonly sha256?: string;
}

export const catalogue: readonly PhoneModel[] = [
  {
    id: 'functiongemma-270m-it',
    title: 'FunctionGemma 270M',
    about: 'Calls tools, and does nothing else. Quick on any phone.',
    engine: 'cactus',
    quant: 'int8',
    megabytes: 290,
    licence: 'Gemma terms',
    source: {
      repository: 'Cactus-Compute/functiongemma-270m-it',
      revision: 'v1.13',
      file: 'weights/functiongemma-270m-it-int8.zip',
    },
  },
  {
    id: 'qwen2.5-coder-0.5b',
    title: 'Qwen2.5 Coder 0.5B',
    about: 'Chat, code and tools on a phone with 4 GB of memory.',
    engine: 'llama.rn',
    quant: 'Q4_K_M',
    megabytes: 469,
    licence: 'Apache-2.0',
    source: {
      repository: 'Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF',
      revision: 'main',
      file: 'qwen2.5-coder-0.5b-instruct-q4_k_m.gguf',
    },
    sha256: '1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32',
  },
  {
    id: 'qwen2.5-coder-1.5b',
    title: 'Qwen2.5 Coder 1.5B',
    about: 'Better answers, for a phone with 8 GB of memory.',
    engine: 'llama.rn',
    quant: 'Q4_K_M',
    megabytes: 1066,
    licence: 'Apache-2.0',
    source: {
      repository: 'Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF',
      revision: 'main',
      file: 'qwen2.5-coder-1.5b-instruct-q4_k_m.gguf',
    },
    sha256: 'cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046',
  },
];

/** Where a model's file is fetched, over TLS. */
export function addressOf({ source: { repository, revision, file } }: PhoneModel): string {
  return `https://huggingface.co/${repository}/resolve/${revision}/${file}`;
}
