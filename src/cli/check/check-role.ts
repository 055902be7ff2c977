/** The rights of the role a server is reached with, each missing one with its GRANT. Pure. */
import type { ServerFacts } from './check-facts.js';
import { type Finding, finding } from './finding.js';

/** Of the role the server is reached with. */
export function roleFindings(
  facts: ServerFacts,
  context: { readonly hasPassword: boolean },
): readonly Finding[] {
  if (facts.superuser) return [finding('ok', facts, 'rights', `role ${facts.role} is a superuser`)];
  const found: Finding[] = [];
  const grants = `psql -d ${facts.database} -v role=${facts.role} -f deploy/grants.sql, on the master`;
  if (facts.versionNum < 150_000)
    found.push(
      finding(
        'problem',
        facts,
        'rights',
        `role ${facts.role} is not a superuser, and before PostgreSQL 15 ALTER SYSTEM cannot be granted`,
        `ALTER ROLE "${facts.role}" SUPERUSER;`,
      ),
    );
  if (!facts.replication)
    found.push(
      finding(
        'problem',
        facts,
        'rights',
        `role ${facts.role} may not stream: standbys pointed at this node with it would be refused`,
        `ALTER ROLE "${facts.role}" REPLICATION;`,
      ),
    );
  if (facts.missingGrants.length > 0)
    found.push(
      finding(
        'problem',
        facts,
        'rights',
        `role ${facts.role} lacks rights that a worker needs`,
        `${facts.missingGrants.join(' ')} (or all at once: ${grants})`,
      ),
    );
  if (!facts.dblinkWithoutPassword && !context.hasPassword)
    found.push(
      finding(
        'problem',
        facts,
        'rights',
        `role ${facts.role} is not a superuser, so dblink connects only with a password in the conninfo, and there is none`,
        `register the node with password=... in its conninfo; or: psql -v role=${facts.role} -v without_password=1 -f deploy/grants.sql`,
      ),
    );
  const logged = facts.settings['log_statement']?.value ?? 'none';
  if (logged !== 'none' && context.hasPassword)
    found.push(
      finding(
        'warning',
        facts,
        'log_statement',
        `log_statement = ${logged}: a worker with role ${facts.role} points standbys by ALTER SYSTEM, and the log shows the passwords in their conninfos`,
        `as a superuser: ALTER ROLE "${facts.role}" SET log_statement = 'none';`,
      ),
    );
  return found.length > 0
    ? found
    : [finding('ok', facts, 'rights', `role ${facts.role} has the rights a worker needs`)];
}
