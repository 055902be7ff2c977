/** What the registry's functions say, as it is told to who runs a command; and what is said before work on a node. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inCommandWords } from '../../src/cli/command-words.js';
import { CommandFailure } from '../../src/cli/exit-codes.js';
import { missingVotes } from '../../src/cli/node-plan.js';
import { Refusals } from '../../src/cli/refusals.js';
import { sqlFailure } from '../../src/cli/sql-failure.js';
import { clusterOf, gone, voterOf } from '../support/cluster-looks.js';

const translations: readonly (readonly [said: string, told: string])[] = [
  ["first: SELECT pgkeeper.del_node('n2');", 'first: pgkeeper del-node n2'],
  ["SELECT pgkeeper.del_witness('w'); first.", 'pgkeeper del-witness w first.'],
  ['Register it: SELECT pgkeeper.add_node(...).', 'Register it: pgkeeper add-node NAME CONNINFO.'],
  ['SELECT pgkeeper.switchover().', 'pgkeeper switchover.'],
  ["SELECT pgkeeper.switchover('n2').", 'pgkeeper switchover n2.'],
  [
    'or SELECT pgkeeper.resume() first; SELECT pgkeeper.resume(master_is_down => true).',
    'or pgkeeper resume first; pgkeeper resume --master-is-down.',
  ],
  [
    "SELECT pgkeeper.set_maintenance('n2', true, accept_no_candidate => true).",
    'pgkeeper maintenance n2 on --accept-no-candidate.',
  ],
  ["SELECT pgkeeper.set_maintenance('n2', false)", 'pgkeeper maintenance n2 off'],
  ["SELECT pgkeeper.set_priority('n2', 5)", 'pgkeeper priority n2 5'],
  // As a shell takes them.
  ["SELECT pgkeeper.del_node('o''neil (1), b');", "pgkeeper del-node 'o'\\''neil (1), b'"],
  ["SELECT pgkeeper.del_node(E'a\\\\b');", "pgkeeper del-node 'a\\b'"],
  ['pgkeeper.del_node, then pgkeeper.add_node.', 'pgkeeper del-node, then pgkeeper add-node.'],
  ['set_maintenance: "n1" is the master', 'maintenance: "n1" is the master'],
  [
    'add_node writes, and a standby takes no writes',
    'pgkeeper add-node writes, and a standby takes no writes',
  ],
  ['pgkeeper.requests shows what becomes of it.', 'pgkeeper status shows it.'],
  // What is no advice to call a function stays as it is.
  [
    'Empty it with DELETE FROM pgkeeper.node_info; then go on',
    'Empty it with DELETE FROM pgkeeper.node_info; then go on',
  ],
  ['node "n2" is registered already', 'node "n2" is registered already'],
];
for (const [said, told] of translations)
  test(`told to who runs a command: ${told}`, () => {
    assert.equal(inCommandWords(said), told);
  });

const functions = fileURLToPath(new URL('../../../extension/sql/functions/', import.meta.url));

/** Every literal of a function's hints; a call with a value in it is completed as format() would. */
function hintsIn(sql: string): readonly string[] {
  return [...sql.matchAll(/\bhint = ((?:.|\n)*?);\n/g)].flatMap(([, expression = '']) =>
    [...expression.matchAll(/'((?:[^']|'')*)'/g)].map(([, text = '']) =>
      text.replaceAll("''", "'").replaceAll('%L', "'n2'"),
    ),
  );
}

test('no hint of the functions tells who runs a command to call a function', () => {
  const hints = readdirSync(functions).flatMap((name) =>
    hintsIn(readFileSync(join(functions, name), 'utf8')),
  );
  assert.ok(
    hints.some((hint) => /SELECT pgkeeper\.add_node/.test(hint)),
    'they are read',
  );
  for (const hint of hints)
    assert.doesNotMatch(inCommandWords(hint), /pgkeeper\.\w+ ?\(|pgkeeper\.(add|del|set)_/);
});

test('message, detail and hint of a failure are told so', () => {
  const error = Object.assign(new Error('set_priority: 2000000 is out of range'), {
    code: '22023',
    detail: 'pgkeeper.add_node comes first',
    hint: 'NULL: the setting of that server counts.',
  });
  const { message, hints } = sqlFailure(error);
  assert.equal(message, 'priority: 2000000 is out of range');
  assert.deepEqual(hints, ['pgkeeper add-node comes first', 'default: the setting of that server counts.']);
});

test('a right that is missing here is told with the grants; of another server the function says what is missing', () => {
  const denied = Object.assign(new Error('permission denied for view status'), { code: '42501' });
  assert.match(sqlFailure(denied).hints.join(), /deploy\/grants\.sql/);
  const there = Object.assign(new Error('the user of the conninfo may not see it'), {
    code: '42501',
    hint: 'On the witness: GRANT pg_monitor TO that user.',
  });
  assert.deepEqual(sqlFailure(there).hints, ['On the witness: GRANT pg_monitor TO that user.']);
});

test('what stands against a command is told together; the command line counts first, then what is refused', async () => {
  const refuse = (exitCode: 2 | 3 | 4, message: string) => () => {
    throw new CommandFailure(exitCode, message, [`mend ${message}`]);
  };
  const told = async (...parts: readonly (() => unknown)[]) => {
    const found = new Refusals();
    for (const part of parts) await found.gather(part);
    try {
      found.complete({}, 'this');
    } catch (error) {
      if (error instanceof CommandFailure) return error;
    }
    return null;
  };
  assert.equal(await told(() => 1), null);
  assert.equal((await told(refuse(3, 'a')))?.message, 'a', 'one alone stays as it is');
  const both = await told(refuse(3, 'a'), refuse(4, 'b'));
  assert.equal(both?.exitCode, 4);
  assert.deepEqual(
    [both.message, ...both.hints],
    ['2 things stand against this:', '- a', '  mend a', '- b', '  mend b'],
  );
  assert.equal((await told(refuse(3, 'a'), refuse(4, 'b'), refuse(2, 'c')))?.exitCode, 2);
  const broken = () => {
    throw new TypeError('a mistake of the program');
  };
  await assert.rejects(told(broken), TypeError);
});

test('before work on a node it is said which votes are missing, and whether a majority is left without it', () => {
  assert.equal(missingVotes(clusterOf(), 'n2'), null);
  const unheld = clusterOf({ n3: { look: { voteHolder: null } } });
  assert.match(
    missingVotes(unheld, 'n2') ?? '',
    /^n1 holds 2 of 3 votes, that of n3 not; without n2 only 1 would be left and 2 are needed, so the master could not/,
  );
  assert.equal(missingVotes(unheld, 'n3'), null, 'without it nothing more is lost');
  const twoVoters = [voterOf('n1', 1), voterOf('n2', 2)];
  const stopped = clusterOf(
    { n1: { look: { voteHolder: null } }, n2: { look: { voteHolder: null } } },
    { voters: twoVoters },
  );
  assert.match(missingVotes(stopped, 'n3') ?? '', /without n3 only 0 would be left/, 'it has no vote yet');
  const two = clusterOf({ n2: { look: { voteHolder: null } }, n3: { failure: gone } });
  assert.match(
    missingVotes(two, 'n3') ?? '',
    /holds 1 of 3 votes, that of n2, n3 not; without n3 only 1 would/,
  );
  assert.match(missingVotes(clusterOf({ n3: { failure: gone } }), 'n2') ?? '', /that of n3 not/);
  const five = ['n1', 'n2', 'n3', 'n4', 'n5'].map((name, i) => voterOf(name, i + 1));
  const of = { voters: five, nodes: five };
  assert.match(
    missingVotes(clusterOf({ n5: { failure: gone } }, of), 'n2') ?? '',
    /3 would be left, 3 are needed/,
  );
});
