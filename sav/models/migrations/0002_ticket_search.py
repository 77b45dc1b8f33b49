"""Full-text search over subject and description."""

import peewee

atomic = False

_SQLITE = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS ticket_search USING fts5(subject, description, "
    "content='support_tickets', content_rowid='id', tokenize='unicode61 remove_diacritics 2')",
    "CREATE TRIGGER IF NOT EXISTS ticket_search_insert AFTER INSERT ON support_tickets BEGIN "
    "INSERT INTO ticket_search(rowid, subject, description) "
    "VALUES (new.id, new.subject, new.description); END",
    "CREATE TRIGGER IF NOT EXISTS ticket_search_delete AFTER DELETE ON support_tickets BEGIN "
    "INSERT INTO ticket_search(ticket_search, rowid, subject, description) "
    "VALUES ('delete', old.id, old.subject, old.description); END",
    "CREATE TRIGGER IF NOT EXISTS ticket_search_update AFTER UPDATE OF subject, description "
    "ON support_tickets BEGIN "
    "INSERT INTO ticket_search(ticket_search, rowid, subject, description) "
    "VALUES ('delete', old.id, old.subject, old.description); "
    "INSERT INTO ticket_search(rowid, subject, description) "
    "VALUES (new.id, new.subject, new.description); END",
)


def up(migrator, database):
    if isinstance(database, peewee.SqliteDatabase):
        for statement in _SQLITE:
            database.execute_sql(statement)
    elif "search" not in {index.name for index in database.get_indexes("support_tickets")}:
        # Stop words are English only and would make "the" or "de" in a search find nothing.
        database.execute_sql("SET SESSION innodb_ft_enable_stopword = OFF")
        database.execute_sql("ALTER TABLE support_tickets ADD FULLTEXT KEY search (subject, description)")
