/**
 * The rights of the workers' role, from deploy/grants.sql itself: an administrator runs that file with psql, the testbed runs
 * the same statement without it. No list of rights stands here.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { migrationsFolder } from '../postgres/migrations.js';

/** The file beside `migrations/` in the package. */
export function grantsFile(): string {
  return join(dirname(migrationsFolder()), 'deploy', 'grants.sql');
}

/** Makes or completes the role. One text of several statements, to be sent as it is: its settings hold for its session only. */
export function grantsFor(
  role: string,
  options: { readonly withoutPassword: boolean },
  path: string = grantsFile(),
): string {
  const file = readFileSync(path, 'utf8');
  const start = file.search(/^do \$do\$$/m);
  if (start < 0) throw new Error(`${path} holds no DO statement`);
  return `set pg_keeper.grant_to = ${pg.escapeLiteral(role)};
set pg_keeper.grant_without_password = '${options.withoutPassword ? 'on' : 'off'}';
${file.slice(start)}`;
}
