import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { getLlama, type Llama, LlamaLogLevel, type LlamaModel } from 'node-llama-cpp';
import { fetched } from '../model-trial.ts';
import { Vocabulary } from './vocabulary.ts';

/** Prompts as templates write them, with everything that may stand beside a control text. */
const prompts = [
  '<|im_start|>system\nYou are helpful.<|im_end|>\n<|im_start|>user\nHi there!<|im_end|>\n<|im_start|>assistant\n',
  '<|im_start|>user\n  leading spaces<|im_end|>   <|im_start|>assistant',
  '<|im_start|><|im_end|><|im_end|>\n\n\n<|endoftext|>x',
  'no control text at all, naïve façade 你好 🎉👩‍👩‍👧 \u0301e',
  '<|im_start|>user\n{"a":[1,2,3]}\t\r\n<|im_end|> and <|im_en d|> that is none <|im_start',
];

for (const name of ['smollm2-135m', 'qwen2.5-coder-0.5b']) {
  describe(`tokens of prompts with ${name}`, { concurrency: false }, () => {
    let llama: Llama;
    let model: LlamaModel;
    before(async () => {
      llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error });
      model = await llama.loadModel({ modelPath: (await fetched(name)).path, vocabOnly: true });
    });
    after(() => llama.dispose());

    test('a prompt read piece by piece has the tokens of the whole, the first time and again', () => {
      const vocabulary = new Vocabulary(model);
      for (const text of [...prompts, prompts.join(''), ...prompts]) {
        assert.deepEqual(vocabulary.tokenize([{ text, isTemplate: true }]), model.tokenize(text, true), text);
      }
    });
  });
}
