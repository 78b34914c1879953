import { native } from './native.ts';

/** Whether fewer descriptors than that are free. What holds descriptors for long asks first, so that the rest can still be answered. */
export function descriptorsScarce(reserved: number): boolean {
  return native().descriptorsScarce(reserved) !== 0;
}
