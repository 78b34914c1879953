import { EnvironmentConfigError } from '../environment-error.ts';
import type { ContainerSpec, ExecSpec } from './engine.ts';

/** Of `docker container create`, for a container that is removed when its program has ended. */
export function createArguments(spec: ContainerSpec): string[] {
  const [program = '', ...args] = spec.command;
  return [
    'container',
    'create',
    '--pull=never',
    '--interactive',
    '--rm',
    '--init',
    `--entrypoint=${program}`,
    ...optional('user', spec.user),
    ...optional('network', spec.network),
    ...optional('workdir', spec.workdir),
    ...Object.entries(spec.env).map(([name, value]) => `--env=${name}=${value}`),
    ...Object.entries(spec.labels).map(([name, value]) => `--label=${name}=${value}`),
    ...spec.mounts.map(({ source, target, readOnly = false }) => {
      const kind = source.startsWith('/') ? 'bind' : 'volume';
      const fields = [
        `type=${kind}`,
        `source=${source}`,
        `target=${target}`,
        ...(readOnly ? ['readonly'] : []),
      ];
      return `--mount=${fields.map(csvField).join(',')}`;
    }),
    '--',
    spec.image,
    ...args,
  ];
}

export function execArguments(container: string, spec: ExecSpec): string[] {
  return [
    'container',
    'exec',
    '--interactive',
    ...optional('user', spec.user),
    ...optional('workdir', spec.workdir),
    ...Object.entries(spec.env ?? {}).map(([name, value]) => `--env=${name}=${value}`),
    '--',
    container,
    ...spec.argv,
  ];
}

function optional(name: string, value: string | undefined): string[] {
  return value === undefined ? [] : [`--${name}=${value}`];
}

/** A mount is a line of CSV. */
function csvField(text: string): string {
  if (/[\n\r]/.test(text)) throw new EnvironmentConfigError('mounts', 'a path of a mount holds a line break');
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
