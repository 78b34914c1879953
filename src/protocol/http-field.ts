import { z } from 'zod';

/** Header or trailer fields: names in lower case, in order, one entry a value. */
export const HttpFields = z.array(z.object({ name: z.string(), value: z.string() }));

export type HttpField = z.output<typeof HttpFields>[number];
