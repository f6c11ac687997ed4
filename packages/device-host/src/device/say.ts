/** Tells the user of an event: a sentence for people, or the event and its fields for programs. */
export type Say = (event: string, sentence: string, fields: Readonly<Record<string, string | number>>) => void;

/** One line an event, of JSON where that was asked for. */
export function sayer(isJson: boolean, print: (line: string) => void): Say {
  return (event, sentence, fields) => print(isJson ? JSON.stringify({ event, ...fields }) : sentence);
}
