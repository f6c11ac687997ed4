import { Command } from 'commander';
import type { ModelProgress } from './models/progress.ts';
import { defaultModel } from './models/catalogue.ts';
import { listModels, removeModel } from './models/folder.ts';
import { megabytes, thisMachine } from './models/machine.ts';
import { resolveModel } from './models/resolve.ts';

/** What the `models` command needs from its surroundings. */
export interface ModelsCommandHost {
  /** Where models lie unless `--models-dir` says otherwise. */
  readonly modelsDir: string;
  readonly offline: boolean;
  readonly baseUrl?: string;
  /** Fires when the user stops the command; asked for only by one that takes long. */
  signal(): AbortSignal;
  /** Writes one line to standard output. */
  print(line: string): void;
  /** Shows how far a model is; `done` takes what was shown away. */
  readonly progress: { update(progress: ModelProgress): void; done(): void };
}

interface ModelsOptions {
  readonly json?: boolean;
  readonly modelsDir?: string;
}

/** `models list|pull|remove`; throws ModelError, and commander's own error on wrong usage. */
export function modelsCommand(host: ModelsCommandHost): Command {
  const models = new Command('models').description('models on this machine');
  const folderOf = (options: ModelsOptions): string => options.modelsDir ?? host.modelsDir;

  action(models, 'list', 'what can be had and what is here', 'lfo models list').action(
    async (options: ModelsOptions) => {
      await list(folderOf(options), options.json === true, host);
    },
  );
  action(models, 'pull', 'fetch a model and verify it', `lfo models pull ${defaultModel}`)
    .argument('[model]', 'catalogue name, or hf:owner/repository/file.gguf', defaultModel)
    .action(async (model: string, options: ModelsOptions) => {
      await pull(model, folderOf(options), options.json === true, host);
    });
  action(models, 'remove', 'delete a model from the models folder', 'lfo models remove smollm2-135m')
    .argument('<model>', 'a name as "models list" shows it')
    .action(async (model: string, options: ModelsOptions) => {
      const freedBytes = await removeModel(model, folderOf(options), thisMachine());
      host.print(
        options.json === true
          ? JSON.stringify({ model, freedBytes })
          : `Removed ${model}, ${megabytes(freedBytes)} freed.`,
      );
    });
  return models;
}

function action(models: Command, name: string, description: string, example: string): Command {
  return models
    .command(name)
    .description(description)
    .option('--json', 'JSON for scripts')
    .option('--models-dir <folder>', 'another models folder')
    .addHelpText('after', `\nExample:\n  ${example}`);
}

async function list(folder: string, json: boolean, host: ModelsCommandHost): Promise<void> {
  const models = await listModels(folder);
  if (json) return host.print(JSON.stringify(models));
  const width = Math.max(...models.map((model) => model.id.length));
  for (const { id, bytes, state, licence, note } of models) {
    const about = [licence, note].filter((text) => text !== undefined).join('; ');
    host.print(`${id.padEnd(width)}  ${megabytes(bytes).padStart(9)}  ${state.padEnd(10)}  ${about}`.trimEnd());
  }
}

async function pull(model: string, modelsDir: string, json: boolean, host: ModelsCommandHost): Promise<void> {
  const { offline, baseUrl } = host;
  const options = { modelsDir, offline, ...(baseUrl === undefined ? {} : { baseUrl }) };
  const file = await resolveModel(model, options, (progress) => host.progress.update(progress), host.signal()).finally(
    () => host.progress.done(),
  );
  host.print(json ? JSON.stringify(file) : `${file.id} is ready: ${file.path}`);
}
