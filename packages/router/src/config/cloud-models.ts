/**
 * Whether a model's name says that a model server passes it on to a cloud: Ollama's `minimax-m2:cloud`,
 * `gpt-oss:120b-cloud`, and the aliases of another LFO that may leave its network.
 */
export function isCloudModel(model: string): boolean {
  return /[:-]cloud$/i.test(model) || model === 'lfo-auto';
}
