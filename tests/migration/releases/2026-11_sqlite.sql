CREATE TABLE "schema_migration" ("id" INTEGER NOT NULL PRIMARY KEY, "name" VARCHAR(255) NOT NULL, "applied" DATETIME NOT NULL)

CREATE TABLE support_tickets (id INTEGER PRIMARY KEY AUTOINCREMENT, ticket_number VARCHAR(64)  NOT NULL, user_id BIGINT NULL, assigned_to BIGINT NULL, subject VARCHAR(255) NOT NULL, description TEXT NOT NULL, status VARCHAR(20)  NOT NULL, priority VARCHAR(10)  NOT NULL, category VARCHAR(100)  NULL, source VARCHAR(10)  NOT NULL, contact_email VARCHAR(255) COLLATE NOCASE NULL, contact_name VARCHAR(255) NULL, first_response_at TEXT NULL, resolved_at TEXT NULL, closed_at TEXT NULL, escalated_at TEXT NULL, resolution_notes TEXT NULL, internal_notes TEXT NULL, satisfaction_rating SMALLINT NULL, satisfaction_comment TEXT NULL, tags TEXT NOT NULL, metadata TEXT NOT NULL, reopen_count INT NOT NULL DEFAULT 0, version INT NOT NULL DEFAULT 1, read_marks INT NOT NULL DEFAULT 0, event_count INT NOT NULL DEFAULT 0, published_event_count INT NOT NULL DEFAULT 0, created_at TEXT NOT NULL, updated_at TEXT NOT NULL, deleted_at TEXT NULL, priority_rank SMALLINT GENERATED ALWAYS AS (CASE priority WHEN 'low' THEN 1 WHEN 'normal' THEN 2 WHEN 'high' THEN 3 ELSE 4 END) STORED, access_token_hash CHAR(64)  NULL, locale VARCHAR(5)  NULL, CONSTRAINT ticket_status CHECK (status IN ('open', 'assigned', 'in_progress', 'waiting_customer', 'resolved', 'closed')), CONSTRAINT ticket_priority CHECK (priority IN ('low', 'normal', 'high', 'urgent')), CONSTRAINT ticket_source CHECK (source IN ('web', 'email', 'phone', 'chat')), CONSTRAINT ticket_rating CHECK (satisfaction_rating BETWEEN 1 AND 5))

CREATE TABLE ticket_messages (id INTEGER PRIMARY KEY AUTOINCREMENT, ticket_id BIGINT NOT NULL, user_id BIGINT NULL, author_role VARCHAR(10)  NOT NULL, author_name VARCHAR(255) NOT NULL, author_email VARCHAR(255) NOT NULL, content TEXT NOT NULL, is_internal BOOLEAN NOT NULL, is_read BOOLEAN NOT NULL DEFAULT FALSE, read_at TEXT NULL, version INT NOT NULL DEFAULT 1, created_at TEXT NOT NULL, updated_at TEXT NOT NULL, deleted_at TEXT NULL, CONSTRAINT message_ticket FOREIGN KEY (ticket_id) REFERENCES support_tickets (id))

CREATE TABLE message_receipts (message_id BIGINT NOT NULL, reader_id BIGINT NOT NULL, ticket_id BIGINT NOT NULL, read_at TEXT NOT NULL, PRIMARY KEY (message_id, reader_id), CONSTRAINT receipt_message FOREIGN KEY (message_id) REFERENCES ticket_messages (id))

CREATE TABLE ticket_attachments (id INTEGER PRIMARY KEY AUTOINCREMENT, ticket_id BIGINT NOT NULL, message_id BIGINT NULL, user_id BIGINT NULL, file_name VARCHAR(255) NOT NULL, file_path VARCHAR(512) NOT NULL, file_type VARCHAR(50) NOT NULL, file_size BIGINT NOT NULL, mime_type VARCHAR(127) NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL, state VARCHAR(16)  NOT NULL DEFAULT 'available', CONSTRAINT attachment_ticket FOREIGN KEY (ticket_id) REFERENCES support_tickets (id), CONSTRAINT attachment_message FOREIGN KEY (message_id) REFERENCES ticket_messages (id))

CREATE TABLE ticket_tags (ticket_id BIGINT NOT NULL, tag VARCHAR(50)  NOT NULL, PRIMARY KEY (tag, ticket_id), CONSTRAINT tag_ticket FOREIGN KEY (ticket_id) REFERENCES support_tickets (id))

CREATE TABLE ticket_events (id INTEGER PRIMARY KEY AUTOINCREMENT, event_id CHAR(36)  NOT NULL, ticket_id BIGINT NOT NULL, sequence INT NOT NULL, published_sequence INT NULL, name VARCHAR(64)  NOT NULL, data TEXT NOT NULL, changes TEXT NOT NULL, actor_id BIGINT NULL, actor_role VARCHAR(10)  NOT NULL, request_id VARCHAR(128)  NULL, occurred_at TEXT NOT NULL)

CREATE TABLE due_effects (id INTEGER PRIMARY KEY AUTOINCREMENT, effect VARCHAR(64)  NOT NULL, ticket_id BIGINT NOT NULL, sequence BIGINT NOT NULL, due_at TEXT NOT NULL, lease_owner CHAR(36)  NULL, leased_until TEXT NULL, tries INT NOT NULL DEFAULT 0, last_error VARCHAR(500) NULL, failed_at TEXT NULL, created_at TEXT NOT NULL)

CREATE TABLE agents (user_id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(255) NULL, email VARCHAR(255) NULL, active BOOLEAN NOT NULL DEFAULT TRUE, available BOOLEAN NOT NULL DEFAULT FALSE, capacity INT NOT NULL, categories TEXT NOT NULL, last_assigned_at TEXT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL)

CREATE TABLE ticket_number_sequences (day CHAR(8)  NOT NULL PRIMARY KEY, last_sequence INT NOT NULL)

CREATE TABLE idempotency_keys (caller VARCHAR(64)  NOT NULL, key_hash CHAR(64)  NOT NULL, fingerprint CHAR(64)  NOT NULL, status SMALLINT NULL, headers TEXT NULL, body TEXT NULL, created_at TEXT NOT NULL, PRIMARY KEY (caller, key_hash))

CREATE TABLE scheduler_ticks (job VARCHAR(64)  NOT NULL PRIMARY KEY, last_slot BIGINT NOT NULL, recorded_at TEXT NOT NULL)

CREATE TABLE received_events (id INTEGER PRIMARY KEY AUTOINCREMENT, dedup_key CHAR(64)  NOT NULL, name VARCHAR(64)  NOT NULL, envelope TEXT NOT NULL, request_id VARCHAR(128)  NULL, received_at TEXT NOT NULL)

CREATE TABLE order_issues (issue_key CHAR(64)  NOT NULL PRIMARY KEY, ticket_id BIGINT NULL)

CREATE TABLE rate_counters (key_hash CHAR(64)  NOT NULL PRIMARY KEY, hits INT NOT NULL, expires_at TEXT NOT NULL)

CREATE TABLE contacts (user_id BIGINT NOT NULL PRIMARY KEY, email VARCHAR(255) NOT NULL, name VARCHAR(255) NULL, locale VARCHAR(5)  NULL, updated_at TEXT NOT NULL)

CREATE TABLE mail_deliveries (id INTEGER PRIMARY KEY AUTOINCREMENT, message_id VARCHAR(255)  NOT NULL, ticket_id BIGINT NOT NULL, sequence INT NOT NULL, kind VARCHAR(32)  NOT NULL, recipient VARCHAR(255)  NOT NULL, recipient_name VARCHAR(255) NULL, locale VARCHAR(5)  NOT NULL, state VARCHAR(16)  NOT NULL, reason VARCHAR(32)  NULL, tries INT NOT NULL DEFAULT 0, last_error VARCHAR(500) NULL, due_at TEXT NOT NULL, sent_at TEXT NULL, updated_at TEXT NOT NULL, CONSTRAINT delivery_state CHECK (state IN ('due', 'sent', 'failed', 'recorded', 'suppressed')))

CREATE TABLE mail_preferences (address_hash CHAR(64)  NOT NULL, kind VARCHAR(32)  NOT NULL, created_at TEXT NOT NULL, PRIMARY KEY (address_hash, kind))

CREATE TABLE service_secrets (name VARCHAR(32)  NOT NULL PRIMARY KEY, secret CHAR(64)  NOT NULL, created_at TEXT NOT NULL)

INSERT INTO schema_migration (id, name, applied) VALUES (1, '0001_support_tickets', '2026-11-22 20:39:26.130683')

INSERT INTO schema_migration (id, name, applied) VALUES (2, '0002_ticket_search', '2026-11-22 20:39:26.197134')

INSERT INTO schema_migration (id, name, applied) VALUES (3, '0003_conversations', '2026-11-22 20:39:26.236660')

INSERT INTO schema_migration (id, name, applied) VALUES (4, '0004_event_log', '2026-11-22 20:39:26.315611')

INSERT INTO schema_migration (id, name, applied) VALUES (5, '0005_desk', '2026-11-22 20:39:26.468933')

INSERT INTO schema_migration (id, name, applied) VALUES (6, '0006_scheduler', '2026-11-22 20:39:26.551969')

INSERT INTO schema_migration (id, name, applied) VALUES (7, '0007_received_events', '2026-11-22 20:39:26.656690')

INSERT INTO schema_migration (id, name, applied) VALUES (8, '0008_attachment_states', '2026-11-22 20:39:26.697565')

INSERT INTO schema_migration (id, name, applied) VALUES (9, '0009_guests', '2026-11-22 20:39:26.783021')

INSERT INTO schema_migration (id, name, applied) VALUES (10, '0010_assignment', '2026-11-22 20:39:26.880760')

INSERT INTO schema_migration (id, name, applied) VALUES (11, '0011_mails', '2026-11-22 20:39:27.016124')

INSERT INTO support_tickets (id, ticket_number, user_id, assigned_to, subject, description, status, priority, category, source, contact_email, contact_name, first_response_at, resolved_at, closed_at, escalated_at, resolution_notes, internal_notes, satisfaction_rating, satisfaction_comment, tags, metadata, reopen_count, version, read_marks, event_count, published_event_count, created_at, updated_at, deleted_at, access_token_hash, locale) VALUES (1, 'TICKET-20261122-001', 1, NULL, 'Colis égaré numéro 1', 'Commande payée, jamais arrivée.', 'open', 'urgent', 'delivery', 'web', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '["colis"]', '{}', 0, 1, 0, 1, 1, '2026-11-22 20:39:28.195242', '2026-11-22 20:39:28.195242', NULL, NULL, NULL)

INSERT INTO support_tickets (id, ticket_number, user_id, assigned_to, subject, description, status, priority, category, source, contact_email, contact_name, first_response_at, resolved_at, closed_at, escalated_at, resolution_notes, internal_notes, satisfaction_rating, satisfaction_comment, tags, metadata, reopen_count, version, read_marks, event_count, published_event_count, created_at, updated_at, deleted_at, access_token_hash, locale) VALUES (2, 'TICKET-20261122-002', 2, 7, 'Colis égaré numéro 2', 'Commande payée, jamais arrivée.', 'in_progress', 'normal', 'delivery', 'web', NULL, NULL, '2026-11-22 20:39:28.718763', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '["colis"]', '{}', 0, 5, 0, 6, 4, '2026-11-22 20:39:28.274515', '2026-11-22 20:39:28.839288', NULL, NULL, NULL)

INSERT INTO support_tickets (id, ticket_number, user_id, assigned_to, subject, description, status, priority, category, source, contact_email, contact_name, first_response_at, resolved_at, closed_at, escalated_at, resolution_notes, internal_notes, satisfaction_rating, satisfaction_comment, tags, metadata, reopen_count, version, read_marks, event_count, published_event_count, created_at, updated_at, deleted_at, access_token_hash, locale) VALUES (3, 'TICKET-20261122-003', 3, 7, 'Colis égaré numéro 3', 'Commande payée, jamais arrivée.', 'resolved', 'low', 'delivery', 'web', NULL, NULL, NULL, '2026-11-22 20:39:28.957822', NULL, NULL, 'Renvoyé.', NULL, NULL, NULL, '["colis"]', '{}', 0, 3, 0, 3, 3, '2026-11-22 20:39:28.315109', '2026-11-22 20:39:28.957822', NULL, NULL, NULL)

INSERT INTO support_tickets (id, ticket_number, user_id, assigned_to, subject, description, status, priority, category, source, contact_email, contact_name, first_response_at, resolved_at, closed_at, escalated_at, resolution_notes, internal_notes, satisfaction_rating, satisfaction_comment, tags, metadata, reopen_count, version, read_marks, event_count, published_event_count, created_at, updated_at, deleted_at, access_token_hash, locale) VALUES (4, 'TICKET-20261122-004', 1, 7, 'Colis égaré numéro 1', 'Commande payée, jamais arrivée.', 'closed', 'high', 'delivery', 'web', NULL, NULL, NULL, NULL, '2026-11-22 20:39:29.118707', NULL, NULL, NULL, 4, NULL, '["colis"]', '{}', 0, 4, 0, 4, 4, '2026-11-22 20:39:28.449564', '2026-11-22 20:39:29.203065', NULL, NULL, NULL)

INSERT INTO support_tickets (id, ticket_number, user_id, assigned_to, subject, description, status, priority, category, source, contact_email, contact_name, first_response_at, resolved_at, closed_at, escalated_at, resolution_notes, internal_notes, satisfaction_rating, satisfaction_comment, tags, metadata, reopen_count, version, read_marks, event_count, published_event_count, created_at, updated_at, deleted_at, access_token_hash, locale) VALUES (5, 'TICKET-20261122-005-NAT3PZJF', NULL, NULL, 'Facture introuvable', 'Où est ma facture ?', 'open', 'normal', NULL, 'web', 'guest@example.com', 'Gaëlle', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '{}', 0, 1, 0, 1, 1, '2026-11-22 20:39:29.274107', '2026-11-22 20:39:29.274107', NULL, 'd30bb80e4808096fd082ba2e425710aa7bf35baa02e048242d687c64d5f90bcb', 'fr')

INSERT INTO ticket_messages (id, ticket_id, user_id, author_role, author_name, author_email, content, is_internal, is_read, read_at, version, created_at, updated_at, deleted_at) VALUES (1, 2, 7, 'agent', 'Agent', 'agent7@example.com', 'Nous cherchons.', 0, 0, NULL, 1, '2026-11-22 20:39:28.718763', '2026-11-22 20:39:28.718763', NULL)

INSERT INTO ticket_messages (id, ticket_id, user_id, author_role, author_name, author_email, content, is_internal, is_read, read_at, version, created_at, updated_at, deleted_at) VALUES (2, 2, 7, 'agent', 'Agent', 'agent7@example.com', 'Le transporteur a été appelé.', 1, 0, NULL, 1, '2026-11-22 20:39:28.798931', '2026-11-22 20:39:28.798931', NULL)

INSERT INTO ticket_messages (id, ticket_id, user_id, author_role, author_name, author_email, content, is_internal, is_read, read_at, version, created_at, updated_at, deleted_at) VALUES (3, 2, 2, 'customer', 'Customer', 'customer2@example.com', 'Merci.', 0, 0, NULL, 1, '2026-11-22 20:39:28.839288', '2026-11-22 20:39:28.839288', NULL)

INSERT INTO ticket_tags (ticket_id, tag) VALUES (1, 'colis')

INSERT INTO ticket_tags (ticket_id, tag) VALUES (2, 'colis')

INSERT INTO ticket_tags (ticket_id, tag) VALUES (3, 'colis')

INSERT INTO ticket_tags (ticket_id, tag) VALUES (4, 'colis')

INSERT INTO ticket_events (id, event_id, ticket_id, sequence, published_sequence, name, data, changes, actor_id, actor_role, request_id, occurred_at) VALUES (1, '0dc9c756-ce24-46b0-b327-50ec95348c93', 1, 1, 1, 'ticket.created', '{"ticket_id":1,"ticket_number":"TICKET-20261122-001","user_id":1,"subject":"Colis égaré numéro 1","priority":"urgent","category":"delivery","source":"web"}', '{}', 1, 'customer', '4ab72a55-c4d9-434e-b0ae-4832c72f4002', '2026-11-22 20:39:28.195242')

INSERT INTO ticket_events (id, event_id, ticket_id, sequence, published_sequence, name, data, changes, actor_id, actor_role, request_id, occurred_at) VALUES (2, '7b231060-f113-403f-93b8-99dd8c2a32f3', 2, 1, 1, 'ticket.created', '{"ticket_id":2,"ticket_number":"TICKET-20261122-002","user_id":2,"subject":"Colis égaré numéro 2","priority":"normal","category":"delivery","source":"web"}', '{}', 2, 'customer', '39830bb6-d71b-48e9-a12f-c4641da0466a', '2026-11-22 20:39:28.274515')

INSERT INTO ticket_events (id, event_id, ticket_id, sequence, published_sequence, name, data, changes, actor_id, actor_role, request_id, occurred_at) VALUES (3, '2c7ee846-7c6a-44ad-b715-69aee36cfea5', 3, 1, 1, 'ticket.created', '{"ticket_id":3,"ticket_number":"TICKET-20261122-003","user_id":3,"subject":"Colis égaré numéro 3","priority":"low","category":"delivery","source":"web"}', '{}', 3, 'customer', 'b5935278-1b4a-4034-bf1d-605eee00b928', '2026-11-22 20:39:28.315109')

INSERT INTO ticket_events (id, event_id, ticket_id, sequence, published_sequence, name, data, changes, actor_id, actor_role, request_id, occurred_at) VALUES (4, '26d45ca9-975f-4079-b75d-4719f2ffda05', 4, 1, 1, 'ticket.created', '{"ticket_id":4,"ticket_number":"TICKET-20261122-004","user_id":1,"subject":"Colis égaré numéro 1","priority":"high","category":"delivery","source":"web"}', '{}', 1, 'customer', '028dda0c-9bc9-4350-a9db-794e0eed2dd6', '2026-11-22 20:39:28.449564')

INSERT INTO ticket_events (id, event_id, ticket_id, sequence, published_sequence, name, data, changes, actor_id, actor_role, request_id, occurred_at) VALUES (5, '28771335-a115-4394-8c4f-e8edfbdadae1', 2, 2, 2, 'ticket.assigned', '{"ticket_id":2,"ticket_number":"TICKET-20261122-002","user_id":2,"agent_id":7,"previous_agent_id":null,"assigned_by":7,"reason":"manual"}', '{"status":{"from":"open","to":"assigned"},"assigned_to":{"from":null,"to":7}}', 7, 'agent', '764e023c-bdaf-4ab6-b469-3b75aa8e511a', '2026-11-22 20:39:28.629801')

INSERT INTO ticket_events (id, event_id, ticket_id, sequence, published_sequence, name, data, changes, actor_id, actor_role, request_id, occurred_at) VALUES (6, '4dc5f803-7b30-4af9-adb7-f4e3d2c8426c', 2, 3, 3, 'ticket.message.new', '{"ticket_id":2,"ticket_number":"TICKET-20261122-002","user_id":2,"message_id":1,"author_role":"agent"}', '{"first_response_at":{"from":null,"to":"2026-11-22T20:39:28.718763Z"}}', 7, 'agent', '88093844-43ee-44f5-bb22-56c383c0a8a3', '2026-11-22 20:39:28.718763')

INSERT INTO ticket_events (id, event_id, ticket_id, sequence, published_sequence, name, data, changes, actor_id, actor_role, request_id, occurred_at) VALUES (7, '4fd6608b-aa35-4a97-9624-544b17aa4c7a', 2, 4, NULL, 'ticket.status_changed', '{"ticket_id":2,"ticket_number":"TICKET-20261122-002","user_id":2}', '{"status":{"from":"assigned","to":"in_progress"}}', 7, 'agent', '88093844-43ee-44f5-bb22-56c383c0a8a3', '2026-11-22 20:39:28.718763')

INSERT INTO ticket_events (id, event_id, ticket_id, sequence, published_sequence, name, data, changes, actor_id, actor_role, request_id, occurred_at) VALUES (8, '9a76294e-3526-4a32-b89b-610cc7afab8d', 2, 5, NULL, 'ticket.note.added', '{"ticket_id":2,"ticket_number":"TICKET-20261122-002","user_id":2,"message_id":2}', '{}', 7, 'agent', '6f2624c8-9c7c-49ca-aeb1-e544100fa4ea', '2026-11-22 20:39:28.798931')

INSERT INTO ticket_events (id, event_id, ticket_id, sequence, published_sequence, name, data, changes, actor_id, actor_role, request_id, occurred_at) VALUES (9, '85686c3a-b097-4021-829a-00137b76422c', 2, 6, 4, 'ticket.message.new', '{"ticket_id":2,"ticket_number":"TICKET-20261122-002","user_id":2,"message_id":3,"author_role":"customer"}', '{}', 2, 'customer', '0286884b-8ffd-4108-860f-031240fd2e11', '2026-11-22 20:39:28.839288')

INSERT INTO ticket_events (id, event_id, ticket_id, sequence, published_sequence, name, data, changes, actor_id, actor_role, request_id, occurred_at) VALUES (10, '58b8db68-2f78-4e45-88e6-ec907f980dd2', 3, 2, 2, 'ticket.assigned', '{"ticket_id":3,"ticket_number":"TICKET-20261122-003","user_id":3,"agent_id":7,"previous_agent_id":null,"assigned_by":7,"reason":"manual"}', '{"status":{"from":"open","to":"assigned"},"assigned_to":{"from":null,"to":7}}', 7, 'agent', '461d444f-3d3b-4aca-be0f-a4e611b51dcc', '2026-11-22 20:39:28.895588')

INSERT INTO ticket_events (id, event_id, ticket_id, sequence, published_sequence, name, data, changes, actor_id, actor_role, request_id, occurred_at) VALUES (11, '42b68e81-7d94-4ea1-97c8-ade398ff4a8f', 3, 3, 3, 'ticket.resolved', '{"ticket_id":3,"ticket_number":"TICKET-20261122-003","user_id":3,"agent_id":7,"resolution_seconds":0}', '{"status":{"from":"assigned","to":"resolved"},"resolved_at":{"from":null,"to":"2026-11-22T20:39:28.957822Z"},"resolution_notes":{"from":null,"to":"Renvoyé."}}', 7, 'agent', '48f0fdf7-85fa-457d-828d-c21312381892', '2026-11-22 20:39:28.957822')

INSERT INTO ticket_events (id, event_id, ticket_id, sequence, published_sequence, name, data, changes, actor_id, actor_role, request_id, occurred_at) VALUES (12, '077f3a3b-f79f-4f13-9866-be3c1d01cd5c', 4, 2, 2, 'ticket.assigned', '{"ticket_id":4,"ticket_number":"TICKET-20261122-004","user_id":1,"agent_id":7,"previous_agent_id":null,"assigned_by":7,"reason":"manual"}', '{"status":{"from":"open","to":"assigned"},"assigned_to":{"from":null,"to":7}}', 7, 'agent', '7b023514-587f-4867-bda3-8339347b6ad7', '2026-11-22 20:39:29.015391')

INSERT INTO ticket_events (id, event_id, ticket_id, sequence, published_sequence, name, data, changes, actor_id, actor_role, request_id, occurred_at) VALUES (13, '29f658d7-ae43-4e48-9838-e5fe824d501f', 4, 3, 3, 'ticket.closed', '{"ticket_id":4,"ticket_number":"TICKET-20261122-004","user_id":1,"closed_by":7,"reason":"Doublon"}', '{"status":{"from":"assigned","to":"closed"},"closed_at":{"from":null,"to":"2026-11-22T20:39:29.118707Z"}}', 7, 'agent', '21474030-be3a-4b7d-a571-c226ea617a54', '2026-11-22 20:39:29.118707')

INSERT INTO ticket_events (id, event_id, ticket_id, sequence, published_sequence, name, data, changes, actor_id, actor_role, request_id, occurred_at) VALUES (14, '6bc84de4-3ff1-4ad0-84cf-68662c98c01b', 4, 4, 4, 'ticket.satisfaction.received', '{"ticket_id":4,"ticket_number":"TICKET-20261122-004","user_id":1,"rating":4}', '{"satisfaction_rating":{"from":null,"to":4}}', 1, 'customer', '17fe91b0-997e-4b6f-86ff-05259e62e7e7', '2026-11-22 20:39:29.203065')

INSERT INTO ticket_events (id, event_id, ticket_id, sequence, published_sequence, name, data, changes, actor_id, actor_role, request_id, occurred_at) VALUES (15, '9a46c638-abe4-4d63-91fa-212b1e114ee3', 5, 1, 1, 'ticket.created', '{"ticket_id":5,"ticket_number":"TICKET-20261122-005-NAT3PZJF","user_id":null,"subject":"Facture introuvable","priority":"normal","category":null,"source":"web"}', '{}', NULL, 'guest', 'bc06f881-80d4-4e55-ae19-51d86ced2174', '2026-11-22 20:39:29.274107')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (1, 'publish_event', 1, 1, '2026-11-22 20:39:30.195242', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:28.195242')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (2, 'notify', 1, 1, '2026-11-22 20:39:30.195242', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:28.195242')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (3, 'assign_tickets', 0, 2609871424950057119, '2026-11-22 20:39:30.195242', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:28.195242')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (4, 'publish_event', 2, 1, '2026-11-22 20:39:30.274515', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:28.274515')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (5, 'notify', 2, 1, '2026-11-22 20:39:30.274515', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:28.274515')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (6, 'assign_tickets', 0, 3748790879041013849, '2026-11-22 20:39:30.274515', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:28.274515')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (7, 'publish_event', 3, 1, '2026-11-22 20:39:30.315109', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:28.315109')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (8, 'notify', 3, 1, '2026-11-22 20:39:30.315109', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:28.315109')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (9, 'assign_tickets', 0, 2072627215006498029, '2026-11-22 20:39:30.315109', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:28.315109')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (10, 'publish_event', 4, 1, '2026-11-22 20:39:30.449564', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:28.449564')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (11, 'notify', 4, 1, '2026-11-22 20:39:30.449564', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:28.449564')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (12, 'assign_tickets', 0, 2716536795811988552, '2026-11-22 20:39:30.449564', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:28.449564')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (13, 'assign_tickets', 0, 505350129993061555, '2026-11-22 20:39:30.487517', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:28.487517')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (14, 'publish_event', 2, 2, '2026-11-22 20:39:30.629801', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:28.629801')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (15, 'notify', 2, 2, '2026-11-22 20:39:30.629801', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:28.629801')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (16, 'publish_event', 2, 3, '2026-11-22 20:39:30.718763', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:28.718763')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (17, 'notify', 2, 3, '2026-11-22 20:39:30.718763', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:28.718763')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (18, 'publish_event', 2, 6, '2026-11-22 20:39:30.839288', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:28.839288')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (19, 'notify', 2, 6, '2026-11-22 20:39:30.839288', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:28.839288')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (20, 'publish_event', 3, 2, '2026-11-22 20:39:30.895588', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:28.895588')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (21, 'notify', 3, 2, '2026-11-22 20:39:30.895588', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:28.895588')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (22, 'publish_event', 3, 3, '2026-11-22 20:39:30.957822', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:28.957822')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (23, 'notify', 3, 3, '2026-11-22 20:39:30.957822', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:28.957822')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (24, 'assign_tickets', 0, 1844457680754141933, '2026-11-22 20:39:30.957822', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:28.957822')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (25, 'publish_event', 4, 2, '2026-11-22 20:39:31.015391', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:29.015391')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (26, 'notify', 4, 2, '2026-11-22 20:39:31.015391', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:29.015391')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (27, 'publish_event', 4, 3, '2026-11-22 20:39:31.118707', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:29.118707')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (28, 'notify', 4, 3, '2026-11-22 20:39:31.118707', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:29.118707')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (29, 'assign_tickets', 0, 3909448003575941004, '2026-11-22 20:39:31.118707', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:29.118707')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (30, 'publish_event', 4, 4, '2026-11-22 20:39:31.203065', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:29.203065')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (31, 'publish_event', 5, 1, '2026-11-22 20:39:31.274107', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:29.274107')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (32, 'notify', 5, 1, '2026-11-22 20:39:31.274107', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:29.274107')

INSERT INTO due_effects (id, effect, ticket_id, sequence, due_at, lease_owner, leased_until, tries, last_error, failed_at, created_at) VALUES (33, 'assign_tickets', 0, 2522585146199675994, '2026-11-22 20:39:31.274107', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:39:29.274107')

INSERT INTO agents (user_id, name, email, active, available, capacity, categories, last_assigned_at, created_at, updated_at) VALUES (7, 'Agent', 'agent7@example.com', 1, 1, 20, '[]', '2026-11-22 20:39:29.015391', '2026-11-22 20:39:28.057993', '2026-11-22 20:39:28.487517')

INSERT INTO ticket_number_sequences (day, last_sequence) VALUES ('20261122', 5)

INSERT INTO rate_counters (key_hash, hits, expires_at) VALUES ('07d0651b630da9e6cf21d265c7709f35842a05dd6beea4b7c3e570de7fadb5ca', 1, '2026-11-22 20:40:00.000000')

INSERT INTO rate_counters (key_hash, hits, expires_at) VALUES ('1de8571d10d0edae641f26f42a6d701ed00083cd42f22b30abd649c4592dc39c', 1, '2026-11-22 20:40:00.000000')

INSERT INTO rate_counters (key_hash, hits, expires_at) VALUES ('6980bd79045c7b39e74656d06c54dbab1c236db8ff3978a2808ac02669236128', 1, '2026-11-22 21:00:00.000000')

INSERT INTO contacts (user_id, email, name, locale, updated_at) VALUES (1, 'customer1@example.com', 'Customer', NULL, '2026-11-22 20:39:28.195242')

INSERT INTO contacts (user_id, email, name, locale, updated_at) VALUES (2, 'customer2@example.com', 'Customer', NULL, '2026-11-22 20:39:28.274515')

INSERT INTO contacts (user_id, email, name, locale, updated_at) VALUES (3, 'customer3@example.com', 'Customer', NULL, '2026-11-22 20:39:28.315109')

INSERT INTO contacts (user_id, email, name, locale, updated_at) VALUES (7, 'agent7@example.com', 'Agent', NULL, '2026-11-22 20:39:28.718763')

CREATE UNIQUE INDEX "schema_migration_name" ON "schema_migration" ("name")

CREATE UNIQUE INDEX support_tickets_ticket_number ON support_tickets (ticket_number)

CREATE INDEX support_tickets_owner_created ON support_tickets (user_id, created_at)

CREATE INDEX support_tickets_owner_updated ON support_tickets (user_id, updated_at)

CREATE INDEX support_tickets_owner_priority ON support_tickets (user_id, priority_rank)

CREATE INDEX support_tickets_assignee_created ON support_tickets (assigned_to, created_at)

CREATE INDEX support_tickets_assignee_updated ON support_tickets (assigned_to, updated_at)

CREATE INDEX support_tickets_assignee_priority ON support_tickets (assigned_to, priority_rank)

CREATE INDEX support_tickets_assignee_status ON support_tickets (assigned_to, status)

CREATE INDEX support_tickets_status_created ON support_tickets (status, created_at)

CREATE INDEX support_tickets_status_updated ON support_tickets (status, updated_at)

CREATE INDEX support_tickets_status_priority ON support_tickets (status, priority_rank)

CREATE INDEX support_tickets_priority_created ON support_tickets (priority, created_at)

CREATE INDEX support_tickets_category_created ON support_tickets (category, created_at)

CREATE INDEX support_tickets_contact_email ON support_tickets (contact_email)

CREATE INDEX support_tickets_created ON support_tickets (created_at)

CREATE INDEX support_tickets_updated ON support_tickets (updated_at)

CREATE INDEX support_tickets_priority_rank ON support_tickets (priority_rank)

CREATE INDEX ticket_messages_ticket ON ticket_messages (ticket_id, id)

CREATE INDEX message_receipts_reader ON message_receipts (ticket_id, reader_id)

CREATE INDEX ticket_attachments_ticket ON ticket_attachments (ticket_id, id)

CREATE INDEX ticket_attachments_message ON ticket_attachments (message_id)

CREATE INDEX ticket_tags_ticket ON ticket_tags (ticket_id)

CREATE UNIQUE INDEX ticket_events_ticket_sequence ON ticket_events (ticket_id, sequence)

CREATE INDEX ticket_events_name ON ticket_events (name, occurred_at)

CREATE INDEX ticket_events_occurred ON ticket_events (occurred_at)

CREATE UNIQUE INDEX due_effects_owed ON due_effects (ticket_id, effect, sequence)

CREATE INDEX due_effects_due ON due_effects (due_at)

CREATE INDEX due_effects_failed ON due_effects (failed_at)

CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at)

CREATE UNIQUE INDEX received_events_dedup_key ON received_events (dedup_key)

CREATE INDEX received_events_received ON received_events (received_at)

CREATE INDEX ticket_attachments_state ON ticket_attachments (state, updated_at)

CREATE INDEX rate_counters_expires ON rate_counters (expires_at)

CREATE INDEX support_tickets_assignment_queue ON support_tickets (status, deleted_at, priority_rank, id, category, escalated_at)

CREATE INDEX support_tickets_assignee_load ON support_tickets (assigned_to, status, deleted_at)

CREATE UNIQUE INDEX mail_deliveries_once ON mail_deliveries (ticket_id, sequence, kind, recipient)

CREATE INDEX mail_deliveries_state ON mail_deliveries (state, updated_at)

CREATE VIRTUAL TABLE ticket_search USING fts5(subject, description, content='support_tickets', content_rowid='id', tokenize='unicode61 remove_diacritics 2')

CREATE TRIGGER ticket_search_insert AFTER INSERT ON support_tickets BEGIN INSERT INTO ticket_search(rowid, subject, description) VALUES (new.id, new.subject, new.description); END

CREATE TRIGGER ticket_search_delete AFTER DELETE ON support_tickets BEGIN INSERT INTO ticket_search(ticket_search, rowid, subject, description) VALUES ('delete', old.id, old.subject, old.description); END

CREATE TRIGGER ticket_search_update AFTER UPDATE OF subject, description ON support_tickets BEGIN INSERT INTO ticket_search(ticket_search, rowid, subject, description) VALUES ('delete', old.id, old.subject, old.description); INSERT INTO ticket_search(rowid, subject, description) VALUES (new.id, new.subject, new.description); END

INSERT INTO ticket_search(ticket_search) VALUES ('rebuild')
