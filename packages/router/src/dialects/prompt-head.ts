const billingLine = /^x-anthropic-billing-header:[^\n]*\n?/gm;
const tokensLeft = /<total_tokens>[^<]*<\/total_tokens>\n?/g;

/**
 * System text without what some agents write into it anew with every request, which would make each prompt differ from
 * the one before at its very beginning. The words of users, tools and the assistant are never passed through here.
 */
export function canonicalHead(text: string): string {
  if (!text.includes('x-anthropic-billing-header:') && !text.includes('<total_tokens>')) return text;
  return text.replace(billingLine, '').replace(tokensLeft, '').trimStart();
}
