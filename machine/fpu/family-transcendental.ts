import type { Row } from './row.ts';
export const transcendentalRows: [number, Row][] = [];
