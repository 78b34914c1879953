import { z } from 'zod';
import { clientNotifications, requests, serverNotifications } from '../protocol/methods.ts';

/** The JSON Schemas (2020-12) of every message, by method, for clients in other languages. */
export function protocolSchema(): object {
  const schemaOf = (schema: z.ZodType): object =>
    z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  const map = <T extends object, R>(rows: Record<string, T>, make: (row: T) => R): Record<string, R> =>
    Object.fromEntries(Object.entries(rows).map(([method, row]) => [method, make(row)]));
  const notification = (row: { params: z.ZodType; summary: string }): object => ({
    summary: row.summary,
    params: schemaOf(row.params),
  });
  return {
    requests: map(requests, (row: { params: z.ZodType; result: z.ZodType; summary: string }) => ({
      summary: row.summary,
      params: schemaOf(row.params),
      result: schemaOf(row.result),
    })),
    notificationsToServer: map(clientNotifications, notification),
    notificationsToClient: map(serverNotifications, notification),
  };
}
