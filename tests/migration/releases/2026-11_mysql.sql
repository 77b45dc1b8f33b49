SET FOREIGN_KEY_CHECKS = 0

SET SESSION innodb_ft_enable_stopword = OFF

CREATE TABLE `agents` (
  `user_id` bigint NOT NULL,
  `name` varchar(255) COLLATE utf8mb4_unicode_ci DEFAULT NULL,
  `email` varchar(255) COLLATE utf8mb4_unicode_ci DEFAULT NULL,
  `active` tinyint(1) NOT NULL DEFAULT '1',
  `available` tinyint(1) NOT NULL DEFAULT '0',
  `capacity` int NOT NULL,
  `categories` json NOT NULL,
  `last_assigned_at` datetime(6) DEFAULT NULL,
  `created_at` datetime(6) NOT NULL,
  `updated_at` datetime(6) NOT NULL,
  PRIMARY KEY (`user_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `contacts` (
  `user_id` bigint NOT NULL,
  `email` varchar(255) COLLATE utf8mb4_unicode_ci NOT NULL,
  `name` varchar(255) COLLATE utf8mb4_unicode_ci DEFAULT NULL,
  `locale` varchar(5) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `updated_at` datetime(6) NOT NULL,
  PRIMARY KEY (`user_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `due_effects` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `effect` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `ticket_id` bigint NOT NULL,
  `sequence` bigint NOT NULL,
  `due_at` datetime(6) NOT NULL,
  `lease_owner` char(36) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `leased_until` datetime(6) DEFAULT NULL,
  `tries` int NOT NULL DEFAULT '0',
  `last_error` varchar(500) COLLATE utf8mb4_unicode_ci DEFAULT NULL,
  `failed_at` datetime(6) DEFAULT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `owed` (`ticket_id`,`effect`,`sequence`),
  KEY `due` (`due_at`),
  KEY `failed` (`failed_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `idempotency_keys` (
  `caller` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `key_hash` char(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `fingerprint` char(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `status` smallint DEFAULT NULL,
  `headers` json DEFAULT NULL,
  `body` mediumtext COLLATE utf8mb4_unicode_ci,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`caller`,`key_hash`),
  KEY `created` (`created_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `mail_deliveries` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `message_id` varchar(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `ticket_id` bigint NOT NULL,
  `sequence` int NOT NULL,
  `kind` varchar(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `recipient` varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `recipient_name` varchar(255) COLLATE utf8mb4_unicode_ci DEFAULT NULL,
  `locale` varchar(5) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `state` varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `reason` varchar(32) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `tries` int NOT NULL DEFAULT '0',
  `last_error` varchar(500) COLLATE utf8mb4_unicode_ci DEFAULT NULL,
  `due_at` datetime(6) NOT NULL,
  `sent_at` datetime(6) DEFAULT NULL,
  `updated_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `once` (`ticket_id`,`sequence`,`kind`,`recipient`),
  KEY `state` (`state`,`updated_at`),
  CONSTRAINT `delivery_state` CHECK ((`state` in (_utf8mb4'due',_utf8mb4'sent',_utf8mb4'failed',_utf8mb4'recorded',_utf8mb4'suppressed')))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `mail_preferences` (
  `address_hash` char(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `kind` varchar(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`address_hash`,`kind`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `message_receipts` (
  `message_id` bigint NOT NULL,
  `reader_id` bigint NOT NULL,
  `ticket_id` bigint NOT NULL,
  `read_at` datetime(6) NOT NULL,
  PRIMARY KEY (`message_id`,`reader_id`),
  KEY `reader` (`ticket_id`,`reader_id`),
  CONSTRAINT `receipt_message` FOREIGN KEY (`message_id`) REFERENCES `ticket_messages` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `order_issues` (
  `issue_key` char(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `ticket_id` bigint DEFAULT NULL,
  PRIMARY KEY (`issue_key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `rate_counters` (
  `key_hash` char(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `hits` int NOT NULL,
  `expires_at` datetime(6) NOT NULL,
  PRIMARY KEY (`key_hash`),
  KEY `expires` (`expires_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `received_events` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `dedup_key` char(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `name` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `envelope` mediumtext COLLATE utf8mb4_unicode_ci NOT NULL,
  `request_id` varchar(128) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `received_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `dedup_key` (`dedup_key`),
  KEY `received` (`received_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `scheduler_ticks` (
  `job` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `last_slot` bigint NOT NULL,
  `recorded_at` datetime(6) NOT NULL,
  PRIMARY KEY (`job`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `schema_migration` (
  `id` int NOT NULL AUTO_INCREMENT,
  `name` varchar(255) COLLATE utf8mb4_unicode_ci NOT NULL,
  `applied` datetime NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `schema_migration_name` (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `service_secrets` (
  `name` varchar(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `secret` char(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `support_tickets` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `ticket_number` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `user_id` bigint DEFAULT NULL,
  `assigned_to` bigint DEFAULT NULL,
  `subject` varchar(255) COLLATE utf8mb4_unicode_ci NOT NULL,
  `description` mediumtext COLLATE utf8mb4_unicode_ci NOT NULL,
  `status` varchar(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `priority` varchar(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `category` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `source` varchar(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `contact_email` varchar(255) COLLATE utf8mb4_unicode_ci DEFAULT NULL,
  `contact_name` varchar(255) COLLATE utf8mb4_unicode_ci DEFAULT NULL,
  `first_response_at` datetime(6) DEFAULT NULL,
  `resolved_at` datetime(6) DEFAULT NULL,
  `closed_at` datetime(6) DEFAULT NULL,
  `escalated_at` datetime(6) DEFAULT NULL,
  `resolution_notes` mediumtext COLLATE utf8mb4_unicode_ci,
  `internal_notes` mediumtext COLLATE utf8mb4_unicode_ci,
  `satisfaction_rating` smallint DEFAULT NULL,
  `satisfaction_comment` mediumtext COLLATE utf8mb4_unicode_ci,
  `tags` json NOT NULL,
  `metadata` json NOT NULL,
  `reopen_count` int NOT NULL DEFAULT '0',
  `version` int NOT NULL DEFAULT '1',
  `read_marks` int NOT NULL DEFAULT '0',
  `event_count` int NOT NULL DEFAULT '0',
  `published_event_count` int NOT NULL DEFAULT '0',
  `created_at` datetime(6) NOT NULL,
  `updated_at` datetime(6) NOT NULL,
  `deleted_at` datetime(6) DEFAULT NULL,
  `priority_rank` smallint GENERATED ALWAYS AS ((case `priority` when _ascii'low' then 1 when _ascii'normal' then 2 when _ascii'high' then 3 else 4 end)) STORED,
  `access_token_hash` char(64) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `locale` varchar(5) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `ticket_number` (`ticket_number`),
  KEY `owner_created` (`user_id`,`created_at`),
  KEY `owner_updated` (`user_id`,`updated_at`),
  KEY `owner_priority` (`user_id`,`priority_rank`),
  KEY `assignee_created` (`assigned_to`,`created_at`),
  KEY `assignee_updated` (`assigned_to`,`updated_at`),
  KEY `assignee_priority` (`assigned_to`,`priority_rank`),
  KEY `assignee_status` (`assigned_to`,`status`),
  KEY `status_created` (`status`,`created_at`),
  KEY `status_updated` (`status`,`updated_at`),
  KEY `status_priority` (`status`,`priority_rank`),
  KEY `priority_created` (`priority`,`created_at`),
  KEY `category_created` (`category`,`created_at`),
  KEY `contact_email` (`contact_email`),
  KEY `created` (`created_at`),
  KEY `updated` (`updated_at`),
  KEY `priority_rank` (`priority_rank`),
  KEY `assignment_queue` (`status`,`deleted_at`,`priority_rank`,`id`,`category`,`escalated_at`),
  KEY `assignee_load` (`assigned_to`,`status`,`deleted_at`),
  FULLTEXT KEY `search` (`subject`,`description`),
  CONSTRAINT `ticket_priority` CHECK ((`priority` in (_ascii'low',_ascii'normal',_ascii'high',_ascii'urgent'))),
  CONSTRAINT `ticket_rating` CHECK ((`satisfaction_rating` between 1 and 5)),
  CONSTRAINT `ticket_source` CHECK ((`source` in (_ascii'web',_ascii'email',_ascii'phone',_ascii'chat'))),
  CONSTRAINT `ticket_status` CHECK ((`status` in (_ascii'open',_ascii'assigned',_ascii'in_progress',_ascii'waiting_customer',_ascii'resolved',_ascii'closed')))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `ticket_attachments` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `ticket_id` bigint NOT NULL,
  `message_id` bigint DEFAULT NULL,
  `user_id` bigint DEFAULT NULL,
  `file_name` varchar(255) COLLATE utf8mb4_unicode_ci NOT NULL,
  `file_path` varchar(512) COLLATE utf8mb4_unicode_ci NOT NULL,
  `file_type` varchar(50) COLLATE utf8mb4_unicode_ci NOT NULL,
  `file_size` bigint NOT NULL,
  `mime_type` varchar(127) COLLATE utf8mb4_unicode_ci NOT NULL,
  `created_at` datetime(6) NOT NULL,
  `updated_at` datetime(6) NOT NULL,
  `state` varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'available',
  PRIMARY KEY (`id`),
  KEY `ticket` (`ticket_id`,`id`),
  KEY `message` (`message_id`),
  KEY `state` (`state`,`updated_at`),
  CONSTRAINT `attachment_message` FOREIGN KEY (`message_id`) REFERENCES `ticket_messages` (`id`),
  CONSTRAINT `attachment_ticket` FOREIGN KEY (`ticket_id`) REFERENCES `support_tickets` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `ticket_events` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `event_id` char(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `ticket_id` bigint NOT NULL,
  `sequence` int NOT NULL,
  `published_sequence` int DEFAULT NULL,
  `name` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `data` json NOT NULL,
  `changes` json NOT NULL,
  `actor_id` bigint DEFAULT NULL,
  `actor_role` varchar(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `request_id` varchar(128) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `occurred_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `ticket_sequence` (`ticket_id`,`sequence`),
  KEY `name` (`name`,`occurred_at`),
  KEY `occurred` (`occurred_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `ticket_messages` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `ticket_id` bigint NOT NULL,
  `user_id` bigint DEFAULT NULL,
  `author_role` varchar(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `author_name` varchar(255) COLLATE utf8mb4_unicode_ci NOT NULL,
  `author_email` varchar(255) COLLATE utf8mb4_unicode_ci NOT NULL,
  `content` mediumtext COLLATE utf8mb4_unicode_ci NOT NULL,
  `is_internal` tinyint(1) NOT NULL,
  `is_read` tinyint(1) NOT NULL DEFAULT '0',
  `read_at` datetime(6) DEFAULT NULL,
  `version` int NOT NULL DEFAULT '1',
  `created_at` datetime(6) NOT NULL,
  `updated_at` datetime(6) NOT NULL,
  `deleted_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `ticket` (`ticket_id`,`id`),
  CONSTRAINT `message_ticket` FOREIGN KEY (`ticket_id`) REFERENCES `support_tickets` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `ticket_number_sequences` (
  `day` char(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `last_sequence` int NOT NULL,
  PRIMARY KEY (`day`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `ticket_tags` (
  `ticket_id` bigint NOT NULL,
  `tag` varchar(50) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  PRIMARY KEY (`tag`,`ticket_id`),
  KEY `ticket` (`ticket_id`),
  CONSTRAINT `tag_ticket` FOREIGN KEY (`ticket_id`) REFERENCES `support_tickets` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

INSERT INTO agents (`user_id`, `name`, `email`, `active`, `available`, `capacity`, `categories`, `last_assigned_at`, `created_at`, `updated_at`) VALUES (7, 'Agent', 'agent7@example.com', 1, 1, 20, '[]', '2026-11-22 20:40:55.301719', '2026-11-22 20:40:52.539529', '2026-11-22 20:40:54.213480')

INSERT INTO contacts (`user_id`, `email`, `name`, `locale`, `updated_at`) VALUES (1, 'customer1@example.com', 'Customer', NULL, '2026-11-22 20:40:53.226221')

INSERT INTO contacts (`user_id`, `email`, `name`, `locale`, `updated_at`) VALUES (2, 'customer2@example.com', 'Customer', NULL, '2026-11-22 20:40:53.439719')

INSERT INTO contacts (`user_id`, `email`, `name`, `locale`, `updated_at`) VALUES (3, 'customer3@example.com', 'Customer', NULL, '2026-11-22 20:40:53.715136')

INSERT INTO contacts (`user_id`, `email`, `name`, `locale`, `updated_at`) VALUES (7, 'agent7@example.com', 'Agent', NULL, '2026-11-22 20:40:54.498866')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (1, 'publish_event', 1, 1, '2026-11-22 20:40:55.226221', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:53.226221')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (2, 'notify', 1, 1, '2026-11-22 20:40:55.226221', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:53.226221')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (3, 'assign_tickets', 0, 1778920016903685242, '2026-11-22 20:40:55.226221', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:53.226221')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (4, 'publish_event', 2, 1, '2026-11-22 20:40:55.439719', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:53.439719')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (5, 'notify', 2, 1, '2026-11-22 20:40:55.439719', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:53.439719')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (6, 'assign_tickets', 0, 402924342469930358, '2026-11-22 20:40:55.439719', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:53.439719')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (7, 'publish_event', 3, 1, '2026-11-22 20:40:55.715136', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:53.715136')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (8, 'notify', 3, 1, '2026-11-22 20:40:55.715136', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:53.715136')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (9, 'assign_tickets', 0, 3907232590001106248, '2026-11-22 20:40:55.715136', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:53.715136')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (10, 'publish_event', 4, 1, '2026-11-22 20:40:56.053875', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:54.053875')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (11, 'notify', 4, 1, '2026-11-22 20:40:56.053875', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:54.053875')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (12, 'assign_tickets', 0, 4403888820769998017, '2026-11-22 20:40:56.053875', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:54.053875')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (13, 'assign_tickets', 0, 3685907141697943250, '2026-11-22 20:40:56.213480', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:54.213480')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (14, 'publish_event', 2, 2, '2026-11-22 20:40:56.326208', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:54.326208')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (15, 'notify', 2, 2, '2026-11-22 20:40:56.326208', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:54.326208')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (16, 'publish_event', 2, 3, '2026-11-22 20:40:56.498866', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:54.498866')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (17, 'notify', 2, 3, '2026-11-22 20:40:56.498866', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:54.498866')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (18, 'publish_event', 2, 6, '2026-11-22 20:40:56.721420', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:54.721420')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (19, 'notify', 2, 6, '2026-11-22 20:40:56.721420', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:54.721420')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (20, 'publish_event', 3, 2, '2026-11-22 20:40:56.869612', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:54.869612')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (21, 'notify', 3, 2, '2026-11-22 20:40:56.869612', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:54.869612')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (22, 'publish_event', 3, 3, '2026-11-22 20:40:57.079654', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:55.079654')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (23, 'notify', 3, 3, '2026-11-22 20:40:57.079654', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:55.079654')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (24, 'assign_tickets', 0, 4239402394622251559, '2026-11-22 20:40:57.079654', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:55.079654')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (25, 'publish_event', 4, 2, '2026-11-22 20:40:57.301719', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:55.301719')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (26, 'notify', 4, 2, '2026-11-22 20:40:57.301719', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:55.301719')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (27, 'publish_event', 4, 3, '2026-11-22 20:40:57.400018', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:55.400018')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (28, 'notify', 4, 3, '2026-11-22 20:40:57.400018', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:55.400018')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (29, 'assign_tickets', 0, 1979475636913140436, '2026-11-22 20:40:57.400018', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:55.400018')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (30, 'publish_event', 4, 4, '2026-11-22 20:40:57.543887', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:55.543887')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (31, 'publish_event', 5, 1, '2026-11-22 20:40:57.673110', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:55.673110')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (32, 'notify', 5, 1, '2026-11-22 20:40:57.673110', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:55.673110')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (33, 'assign_tickets', 0, 794293780816568728, '2026-11-22 20:40:57.673110', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:55.673110')

INSERT INTO rate_counters (`key_hash`, `hits`, `expires_at`) VALUES ('6980bd79045c7b39e74656d06c54dbab1c236db8ff3978a2808ac02669236128', 1, '2026-11-22 21:00:00')

INSERT INTO rate_counters (`key_hash`, `hits`, `expires_at`) VALUES ('8da49cfb4f0339ed4aa68997b9813fae18e737cd78f1790ff694869343193cff', 1, '2026-11-22 20:41:00')

INSERT INTO rate_counters (`key_hash`, `hits`, `expires_at`) VALUES ('ba7a1a6330db33ed54b89381abafb19fc2859e0423eb7ce27cc86bc6d31141a2', 1, '2026-11-22 20:41:00')

INSERT INTO schema_migration (`id`, `name`, `applied`) VALUES (1, '0001_support_tickets', '2026-11-22 20:40:47')

INSERT INTO schema_migration (`id`, `name`, `applied`) VALUES (2, '0002_ticket_search', '2026-11-22 20:40:47')

INSERT INTO schema_migration (`id`, `name`, `applied`) VALUES (3, '0003_conversations', '2026-11-22 20:40:48')

INSERT INTO schema_migration (`id`, `name`, `applied`) VALUES (4, '0004_event_log', '2026-11-22 20:40:48')

INSERT INTO schema_migration (`id`, `name`, `applied`) VALUES (5, '0005_desk', '2026-11-22 20:40:48')

INSERT INTO schema_migration (`id`, `name`, `applied`) VALUES (6, '0006_scheduler', '2026-11-22 20:40:48')

INSERT INTO schema_migration (`id`, `name`, `applied`) VALUES (7, '0007_received_events', '2026-11-22 20:40:48')

INSERT INTO schema_migration (`id`, `name`, `applied`) VALUES (8, '0008_attachment_states', '2026-11-22 20:40:48')

INSERT INTO schema_migration (`id`, `name`, `applied`) VALUES (9, '0009_guests', '2026-11-22 20:40:50')

INSERT INTO schema_migration (`id`, `name`, `applied`) VALUES (10, '0010_assignment', '2026-11-22 20:40:51')

INSERT INTO schema_migration (`id`, `name`, `applied`) VALUES (11, '0011_mails', '2026-11-22 20:40:51')

INSERT INTO support_tickets (`id`, `ticket_number`, `user_id`, `assigned_to`, `subject`, `description`, `status`, `priority`, `category`, `source`, `contact_email`, `contact_name`, `first_response_at`, `resolved_at`, `closed_at`, `escalated_at`, `resolution_notes`, `internal_notes`, `satisfaction_rating`, `satisfaction_comment`, `tags`, `metadata`, `reopen_count`, `version`, `read_marks`, `event_count`, `published_event_count`, `created_at`, `updated_at`, `deleted_at`, `access_token_hash`, `locale`) VALUES (1, 'TICKET-20261122-001', 1, NULL, 'Colis égaré numéro 1', 'Commande payée, jamais arrivée.', 'open', 'urgent', 'delivery', 'web', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[\"colis\"]', '{}', 0, 1, 0, 1, 1, '2026-11-22 20:40:53.226221', '2026-11-22 20:40:53.226221', NULL, NULL, NULL)

INSERT INTO support_tickets (`id`, `ticket_number`, `user_id`, `assigned_to`, `subject`, `description`, `status`, `priority`, `category`, `source`, `contact_email`, `contact_name`, `first_response_at`, `resolved_at`, `closed_at`, `escalated_at`, `resolution_notes`, `internal_notes`, `satisfaction_rating`, `satisfaction_comment`, `tags`, `metadata`, `reopen_count`, `version`, `read_marks`, `event_count`, `published_event_count`, `created_at`, `updated_at`, `deleted_at`, `access_token_hash`, `locale`) VALUES (2, 'TICKET-20261122-002', 2, 7, 'Colis égaré numéro 2', 'Commande payée, jamais arrivée.', 'in_progress', 'normal', 'delivery', 'web', NULL, NULL, '2026-11-22 20:40:54.498866', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[\"colis\"]', '{}', 0, 5, 0, 6, 4, '2026-11-22 20:40:53.439719', '2026-11-22 20:40:54.721420', NULL, NULL, NULL)

INSERT INTO support_tickets (`id`, `ticket_number`, `user_id`, `assigned_to`, `subject`, `description`, `status`, `priority`, `category`, `source`, `contact_email`, `contact_name`, `first_response_at`, `resolved_at`, `closed_at`, `escalated_at`, `resolution_notes`, `internal_notes`, `satisfaction_rating`, `satisfaction_comment`, `tags`, `metadata`, `reopen_count`, `version`, `read_marks`, `event_count`, `published_event_count`, `created_at`, `updated_at`, `deleted_at`, `access_token_hash`, `locale`) VALUES (3, 'TICKET-20261122-003', 3, 7, 'Colis égaré numéro 3', 'Commande payée, jamais arrivée.', 'resolved', 'low', 'delivery', 'web', NULL, NULL, NULL, '2026-11-22 20:40:55.079654', NULL, NULL, 'Renvoyé.', NULL, NULL, NULL, '[\"colis\"]', '{}', 0, 3, 0, 3, 3, '2026-11-22 20:40:53.715136', '2026-11-22 20:40:55.079654', NULL, NULL, NULL)

INSERT INTO support_tickets (`id`, `ticket_number`, `user_id`, `assigned_to`, `subject`, `description`, `status`, `priority`, `category`, `source`, `contact_email`, `contact_name`, `first_response_at`, `resolved_at`, `closed_at`, `escalated_at`, `resolution_notes`, `internal_notes`, `satisfaction_rating`, `satisfaction_comment`, `tags`, `metadata`, `reopen_count`, `version`, `read_marks`, `event_count`, `published_event_count`, `created_at`, `updated_at`, `deleted_at`, `access_token_hash`, `locale`) VALUES (4, 'TICKET-20261122-004', 1, 7, 'Colis égaré numéro 1', 'Commande payée, jamais arrivée.', 'closed', 'high', 'delivery', 'web', NULL, NULL, NULL, NULL, '2026-11-22 20:40:55.400018', NULL, NULL, NULL, 4, NULL, '[\"colis\"]', '{}', 0, 4, 0, 4, 4, '2026-11-22 20:40:54.053875', '2026-11-22 20:40:55.543887', NULL, NULL, NULL)

INSERT INTO support_tickets (`id`, `ticket_number`, `user_id`, `assigned_to`, `subject`, `description`, `status`, `priority`, `category`, `source`, `contact_email`, `contact_name`, `first_response_at`, `resolved_at`, `closed_at`, `escalated_at`, `resolution_notes`, `internal_notes`, `satisfaction_rating`, `satisfaction_comment`, `tags`, `metadata`, `reopen_count`, `version`, `read_marks`, `event_count`, `published_event_count`, `created_at`, `updated_at`, `deleted_at`, `access_token_hash`, `locale`) VALUES (5, 'TICKET-20261122-005-MHBFVCA0', NULL, NULL, 'Facture introuvable', 'Où est ma facture ?', 'open', 'normal', NULL, 'web', 'guest@example.com', 'Gaëlle', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '{}', 0, 1, 0, 1, 1, '2026-11-22 20:40:55.673110', '2026-11-22 20:40:55.673110', NULL, 'c313c44166220b1ee82acce58bd93ba97b4e20b7f2f24c1e702b13ea49bbc7dd', 'fr')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (1, '13f83707-3fa1-4e42-b914-3fcac824bee8', 1, 1, 1, 'ticket.created', '{\"source\": \"web\", \"subject\": \"Colis égaré numéro 1\", \"user_id\": 1, \"category\": \"delivery\", \"priority\": \"urgent\", \"ticket_id\": 1, \"ticket_number\": \"TICKET-20261122-001\"}', '{}', 1, 'customer', '07695cc6-dea5-4ff6-b799-48b54b648a00', '2026-11-22 20:40:53.226221')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (2, '8156b480-7d0e-4a55-9cd8-c22d79f21c65', 2, 1, 1, 'ticket.created', '{\"source\": \"web\", \"subject\": \"Colis égaré numéro 2\", \"user_id\": 2, \"category\": \"delivery\", \"priority\": \"normal\", \"ticket_id\": 2, \"ticket_number\": \"TICKET-20261122-002\"}', '{}', 2, 'customer', 'a737487e-f3b3-4f23-8a90-5f9520611817', '2026-11-22 20:40:53.439719')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (3, '00411a3f-0fdc-4c4f-8539-4a8f02cffd95', 3, 1, 1, 'ticket.created', '{\"source\": \"web\", \"subject\": \"Colis égaré numéro 3\", \"user_id\": 3, \"category\": \"delivery\", \"priority\": \"low\", \"ticket_id\": 3, \"ticket_number\": \"TICKET-20261122-003\"}', '{}', 3, 'customer', '1a929ea4-c5e2-4728-ba38-3f5871c89c6d', '2026-11-22 20:40:53.715136')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (4, '453aa6dc-ca00-41ed-af75-963255e394ec', 4, 1, 1, 'ticket.created', '{\"source\": \"web\", \"subject\": \"Colis égaré numéro 1\", \"user_id\": 1, \"category\": \"delivery\", \"priority\": \"high\", \"ticket_id\": 4, \"ticket_number\": \"TICKET-20261122-004\"}', '{}', 1, 'customer', '8c4ebfe6-cc09-4b63-a059-37e730be4831', '2026-11-22 20:40:54.053875')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (5, '9e1aedd7-f722-42c4-a07d-664de0d342e7', 2, 2, 2, 'ticket.assigned', '{\"reason\": \"manual\", \"user_id\": 2, \"agent_id\": 7, \"ticket_id\": 2, \"assigned_by\": 7, \"ticket_number\": \"TICKET-20261122-002\", \"previous_agent_id\": null}', '{\"status\": {\"to\": \"assigned\", \"from\": \"open\"}, \"assigned_to\": {\"to\": 7, \"from\": null}}', 7, 'agent', 'd68a4d28-bef8-4dd2-be51-4710e1874e4d', '2026-11-22 20:40:54.326208')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (6, '74709226-cdfb-4f72-957c-dfccb241a4ba', 2, 3, 3, 'ticket.message.new', '{\"user_id\": 2, \"ticket_id\": 2, \"message_id\": 1, \"author_role\": \"agent\", \"ticket_number\": \"TICKET-20261122-002\"}', '{\"first_response_at\": {\"to\": \"2026-11-22T20:40:54.498866Z\", \"from\": null}}', 7, 'agent', 'c0129443-ef9a-4471-b23f-19fa320282de', '2026-11-22 20:40:54.498866')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (7, '2b023704-9462-46ed-b729-cd822f62f913', 2, 4, NULL, 'ticket.status_changed', '{\"user_id\": 2, \"ticket_id\": 2, \"ticket_number\": \"TICKET-20261122-002\"}', '{\"status\": {\"to\": \"in_progress\", \"from\": \"assigned\"}}', 7, 'agent', 'c0129443-ef9a-4471-b23f-19fa320282de', '2026-11-22 20:40:54.498866')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (8, 'f79b8723-2bc0-455d-9ac5-3da01006d758', 2, 5, NULL, 'ticket.note.added', '{\"user_id\": 2, \"ticket_id\": 2, \"message_id\": 2, \"ticket_number\": \"TICKET-20261122-002\"}', '{}', 7, 'agent', 'aa5021ee-6d14-471b-946e-746924d57514', '2026-11-22 20:40:54.657459')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (9, '4ab3cad6-7c5e-4bf3-8b17-76604c146f7a', 2, 6, 4, 'ticket.message.new', '{\"user_id\": 2, \"ticket_id\": 2, \"message_id\": 3, \"author_role\": \"customer\", \"ticket_number\": \"TICKET-20261122-002\"}', '{}', 2, 'customer', 'ebb51254-75a9-49dd-acad-95b1d4f4df55', '2026-11-22 20:40:54.721420')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (10, '97718308-68ea-4011-8d8e-46386ea02dc6', 3, 2, 2, 'ticket.assigned', '{\"reason\": \"manual\", \"user_id\": 3, \"agent_id\": 7, \"ticket_id\": 3, \"assigned_by\": 7, \"ticket_number\": \"TICKET-20261122-003\", \"previous_agent_id\": null}', '{\"status\": {\"to\": \"assigned\", \"from\": \"open\"}, \"assigned_to\": {\"to\": 7, \"from\": null}}', 7, 'agent', '35752ac6-99dd-40a7-8254-2a65fc4565bc', '2026-11-22 20:40:54.869612')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (11, 'b73246fa-f5a7-4798-a114-233342d56852', 3, 3, 3, 'ticket.resolved', '{\"user_id\": 3, \"agent_id\": 7, \"ticket_id\": 3, \"ticket_number\": \"TICKET-20261122-003\", \"resolution_seconds\": 1}', '{\"status\": {\"to\": \"resolved\", \"from\": \"assigned\"}, \"resolved_at\": {\"to\": \"2026-11-22T20:40:55.079654Z\", \"from\": null}, \"resolution_notes\": {\"to\": \"Renvoyé.\", \"from\": null}}', 7, 'agent', 'e11cce98-1e99-46a0-b1eb-3554a8703adc', '2026-11-22 20:40:55.079654')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (12, '0390f984-72a0-4408-a784-045927ca67a4', 4, 2, 2, 'ticket.assigned', '{\"reason\": \"manual\", \"user_id\": 1, \"agent_id\": 7, \"ticket_id\": 4, \"assigned_by\": 7, \"ticket_number\": \"TICKET-20261122-004\", \"previous_agent_id\": null}', '{\"status\": {\"to\": \"assigned\", \"from\": \"open\"}, \"assigned_to\": {\"to\": 7, \"from\": null}}', 7, 'agent', '16904005-f7d3-47ea-bee6-9068206af5cc', '2026-11-22 20:40:55.301719')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (13, '6d3f4c5e-e759-4f16-9bc0-94137fca0c40', 4, 3, 3, 'ticket.closed', '{\"reason\": \"Doublon\", \"user_id\": 1, \"closed_by\": 7, \"ticket_id\": 4, \"ticket_number\": \"TICKET-20261122-004\"}', '{\"status\": {\"to\": \"closed\", \"from\": \"assigned\"}, \"closed_at\": {\"to\": \"2026-11-22T20:40:55.400018Z\", \"from\": null}}', 7, 'agent', 'f344c926-3d33-41e5-a6d6-ebd04ec55de6', '2026-11-22 20:40:55.400018')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (14, 'f80b9c4f-0643-4ad8-8117-549cfc8003ce', 4, 4, 4, 'ticket.satisfaction.received', '{\"rating\": 4, \"user_id\": 1, \"ticket_id\": 4, \"ticket_number\": \"TICKET-20261122-004\"}', '{\"satisfaction_rating\": {\"to\": 4, \"from\": null}}', 1, 'customer', 'dff32839-9c0e-446c-a63c-3da54b1ff48f', '2026-11-22 20:40:55.543887')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (15, 'b23fb513-ba2e-400f-85cf-c44b30692546', 5, 1, 1, 'ticket.created', '{\"source\": \"web\", \"subject\": \"Facture introuvable\", \"user_id\": null, \"category\": null, \"priority\": \"normal\", \"ticket_id\": 5, \"ticket_number\": \"TICKET-20261122-005-MHBFVCA0\"}', '{}', NULL, 'guest', 'b100848b-9797-48a0-88b5-a64fdc4c1838', '2026-11-22 20:40:55.673110')

INSERT INTO ticket_messages (`id`, `ticket_id`, `user_id`, `author_role`, `author_name`, `author_email`, `content`, `is_internal`, `is_read`, `read_at`, `version`, `created_at`, `updated_at`, `deleted_at`) VALUES (1, 2, 7, 'agent', 'Agent', 'agent7@example.com', 'Nous cherchons.', 0, 0, NULL, 1, '2026-11-22 20:40:54.498866', '2026-11-22 20:40:54.498866', NULL)

INSERT INTO ticket_messages (`id`, `ticket_id`, `user_id`, `author_role`, `author_name`, `author_email`, `content`, `is_internal`, `is_read`, `read_at`, `version`, `created_at`, `updated_at`, `deleted_at`) VALUES (2, 2, 7, 'agent', 'Agent', 'agent7@example.com', 'Le transporteur a été appelé.', 1, 0, NULL, 1, '2026-11-22 20:40:54.657459', '2026-11-22 20:40:54.657459', NULL)

INSERT INTO ticket_messages (`id`, `ticket_id`, `user_id`, `author_role`, `author_name`, `author_email`, `content`, `is_internal`, `is_read`, `read_at`, `version`, `created_at`, `updated_at`, `deleted_at`) VALUES (3, 2, 2, 'customer', 'Customer', 'customer2@example.com', 'Merci.', 0, 0, NULL, 1, '2026-11-22 20:40:54.721420', '2026-11-22 20:40:54.721420', NULL)

INSERT INTO ticket_number_sequences (`day`, `last_sequence`) VALUES ('20261122', 5)

INSERT INTO ticket_tags (`ticket_id`, `tag`) VALUES (1, 'colis')

INSERT INTO ticket_tags (`ticket_id`, `tag`) VALUES (2, 'colis')

INSERT INTO ticket_tags (`ticket_id`, `tag`) VALUES (3, 'colis')

INSERT INTO ticket_tags (`ticket_id`, `tag`) VALUES (4, 'colis')

SET FOREIGN_KEY_CHECKS = 1
