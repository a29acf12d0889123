-- One encryption key for each person whose data is in events. Loading it again changes nothing.
--
-- Who destroys a key makes that person's data unreadable, in every copy of the log. So keep this
-- table out of the backups of the log: in a database of its own, whose backups are short-lived.

-- Keys are encrypted with a master key that is not in the database. A row without a key is a person
-- who was erased: it keeps a new key from being made.
CREATE TABLE IF NOT EXISTS personal_keys (
    subject TEXT NOT NULL,
    wrapped_key BLOB,
    master_key_id TEXT,
    created_at TEXT NOT NULL,
    erased_at TEXT,
    CONSTRAINT personal_keys_pkey PRIMARY KEY (subject),
    CONSTRAINT chk_personal_keys_erased CHECK ((wrapped_key IS NULL) = (erased_at IS NOT NULL))
);
