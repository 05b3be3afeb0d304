// The schema of the state database, as the steps that lead to it: step n makes version n + 1 of version n. Steps that were
// released are never changed; a new version is a new step at the end. The version is the file's `user_version`.

/** the file's `application_id`: "XNTH" */
export const APPLICATION_ID = 0x584e_5448;

/**
 * domain: those that are to run. `request` is what the domain is made from, as the API has it (CreateRequest in protocol.ts),
 * brought up to date when it is renamed or paused, or its share, memory, vCPUs or pins change. `wanted` is 0 when it was asked to power off and had
 * not done so yet.
 */
export const STEPS: readonly string[] = [
  `CREATE TABLE domain (
     uuid TEXT PRIMARY KEY,
     request TEXT NOT NULL CHECK (json_valid(request)),
     wanted INTEGER NOT NULL DEFAULT 1 CHECK (wanted IN (0, 1)),
     name TEXT NOT NULL GENERATED ALWAYS AS (request ->> '$.name') STORED UNIQUE
   ) STRICT`,
];
