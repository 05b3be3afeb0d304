// Numbers as xl reads them (strtol with base 0): decimal, 0x hexadecimal, octal after a leading 0, in strings with a sign.

/** The number; undefined when the text is none, or has more than 53 bits. */
export function parseInteger(text: string): number | undefined {
  const [, sign = '', digits = ''] = /^[ \t\n\v\f\r]*([+-]?)(0x[0-9a-f]+|[0-9]+)$/i.exec(text) ?? [];
  const octal = /^0[0-9]/.test(digits);
  if (digits === '' || (octal && /[89]/.test(digits))) return undefined;
  const magnitude = octal ? parseInt(digits, 8) : Number(digits);
  if (!Number.isSafeInteger(magnitude)) return undefined;
  return sign === '-' ? 0 - magnitude : magnitude;
}
