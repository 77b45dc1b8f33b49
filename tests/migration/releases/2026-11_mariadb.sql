SET FOREIGN_KEY_CHECKS = 0

SET SESSION innodb_ft_enable_stopword = OFF

CREATE TABLE `agents` (
  `user_id` bigint(20) NOT NULL,
  `name` varchar(255) DEFAULT NULL,
  `email` varchar(255) DEFAULT NULL,
  `active` tinyint(1) NOT NULL DEFAULT 1,
  `available` tinyint(1) NOT NULL DEFAULT 0,
  `capacity` int(11) NOT NULL,
  `categories` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL CHECK (json_valid(`categories`)),
  `last_assigned_at` datetime(6) DEFAULT NULL,
  `created_at` datetime(6) NOT NULL,
  `updated_at` datetime(6) NOT NULL,
  PRIMARY KEY (`user_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `contacts` (
  `user_id` bigint(20) NOT NULL,
  `email` varchar(255) NOT NULL,
  `name` varchar(255) DEFAULT NULL,
  `locale` varchar(5) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `updated_at` datetime(6) NOT NULL,
  PRIMARY KEY (`user_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `due_effects` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `effect` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `ticket_id` bigint(20) NOT NULL,
  `sequence` bigint(20) NOT NULL,
  `due_at` datetime(6) NOT NULL,
  `lease_owner` char(36) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `leased_until` datetime(6) DEFAULT NULL,
  `tries` int(11) NOT NULL DEFAULT 0,
  `last_error` varchar(500) DEFAULT NULL,
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
  `status` smallint(6) DEFAULT NULL,
  `headers` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL CHECK (json_valid(`headers`)),
  `body` mediumtext DEFAULT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`caller`,`key_hash`),
  KEY `created` (`created_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `mail_deliveries` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `message_id` varchar(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `ticket_id` bigint(20) NOT NULL,
  `sequence` int(11) NOT NULL,
  `kind` varchar(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `recipient` varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `recipient_name` varchar(255) DEFAULT NULL,
  `locale` varchar(5) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `state` varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `reason` varchar(32) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `tries` int(11) NOT NULL DEFAULT 0,
  `last_error` varchar(500) DEFAULT NULL,
  `due_at` datetime(6) NOT NULL,
  `sent_at` datetime(6) DEFAULT NULL,
  `updated_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `once` (`ticket_id`,`sequence`,`kind`,`recipient`),
  KEY `state` (`state`,`updated_at`),
  CONSTRAINT `delivery_state` CHECK (`state` in ('due','sent','failed','recorded','suppressed'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `mail_preferences` (
  `address_hash` char(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `kind` varchar(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`address_hash`,`kind`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `message_receipts` (
  `message_id` bigint(20) NOT NULL,
  `reader_id` bigint(20) NOT NULL,
  `ticket_id` bigint(20) NOT NULL,
  `read_at` datetime(6) NOT NULL,
  PRIMARY KEY (`message_id`,`reader_id`),
  KEY `reader` (`ticket_id`,`reader_id`),
  CONSTRAINT `receipt_message` FOREIGN KEY (`message_id`) REFERENCES `ticket_messages` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `order_issues` (
  `issue_key` char(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `ticket_id` bigint(20) DEFAULT NULL,
  PRIMARY KEY (`issue_key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `rate_counters` (
  `key_hash` char(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `hits` int(11) NOT NULL,
  `expires_at` datetime(6) NOT NULL,
  PRIMARY KEY (`key_hash`),
  KEY `expires` (`expires_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `received_events` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `dedup_key` char(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `name` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `envelope` mediumtext NOT NULL,
  `request_id` varchar(128) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `received_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `dedup_key` (`dedup_key`),
  KEY `received` (`received_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `scheduler_ticks` (
  `job` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `last_slot` bigint(20) NOT NULL,
  `recorded_at` datetime(6) NOT NULL,
  PRIMARY KEY (`job`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `schema_migration` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `name` varchar(255) NOT NULL,
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
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `ticket_number` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `user_id` bigint(20) DEFAULT NULL,
  `assigned_to` bigint(20) DEFAULT NULL,
  `subject` varchar(255) NOT NULL,
  `description` mediumtext NOT NULL,
  `status` varchar(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `priority` varchar(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `category` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `source` varchar(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `contact_email` varchar(255) DEFAULT NULL,
  `contact_name` varchar(255) DEFAULT NULL,
  `first_response_at` datetime(6) DEFAULT NULL,
  `resolved_at` datetime(6) DEFAULT NULL,
  `closed_at` datetime(6) DEFAULT NULL,
  `escalated_at` datetime(6) DEFAULT NULL,
  `resolution_notes` mediumtext DEFAULT NULL,
  `internal_notes` mediumtext DEFAULT NULL,
  `satisfaction_rating` smallint(6) DEFAULT NULL,
  `satisfaction_comment` mediumtext DEFAULT NULL,
  `tags` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL CHECK (json_valid(`tags`)),
  `metadata` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL CHECK (json_valid(`metadata`)),
  `reopen_count` int(11) NOT NULL DEFAULT 0,
  `version` int(11) NOT NULL DEFAULT 1,
  `read_marks` int(11) NOT NULL DEFAULT 0,
  `event_count` int(11) NOT NULL DEFAULT 0,
  `published_event_count` int(11) NOT NULL DEFAULT 0,
  `created_at` datetime(6) NOT NULL,
  `updated_at` datetime(6) NOT NULL,
  `deleted_at` datetime(6) DEFAULT NULL,
  `priority_rank` smallint(6) GENERATED ALWAYS AS (case `priority` when 'low' then 1 when 'normal' then 2 when 'high' then 3 else 4 end) STORED,
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
  CONSTRAINT `ticket_status` CHECK (`status` in ('open','assigned','in_progress','waiting_customer','resolved','closed')),
  CONSTRAINT `ticket_priority` CHECK (`priority` in ('low','normal','high','urgent')),
  CONSTRAINT `ticket_source` CHECK (`source` in ('web','email','phone','chat')),
  CONSTRAINT `ticket_rating` CHECK (`satisfaction_rating` between 1 and 5)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `ticket_attachments` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `ticket_id` bigint(20) NOT NULL,
  `message_id` bigint(20) DEFAULT NULL,
  `user_id` bigint(20) DEFAULT NULL,
  `file_name` varchar(255) NOT NULL,
  `file_path` varchar(512) NOT NULL,
  `file_type` varchar(50) NOT NULL,
  `file_size` bigint(20) NOT NULL,
  `mime_type` varchar(127) NOT NULL,
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
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `event_id` char(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `ticket_id` bigint(20) NOT NULL,
  `sequence` int(11) NOT NULL,
  `published_sequence` int(11) DEFAULT NULL,
  `name` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `data` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL CHECK (json_valid(`data`)),
  `changes` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL CHECK (json_valid(`changes`)),
  `actor_id` bigint(20) DEFAULT NULL,
  `actor_role` varchar(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `request_id` varchar(128) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `occurred_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `ticket_sequence` (`ticket_id`,`sequence`),
  KEY `name` (`name`,`occurred_at`),
  KEY `occurred` (`occurred_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `ticket_messages` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `ticket_id` bigint(20) NOT NULL,
  `user_id` bigint(20) DEFAULT NULL,
  `author_role` varchar(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `author_name` varchar(255) NOT NULL,
  `author_email` varchar(255) NOT NULL,
  `content` mediumtext NOT NULL,
  `is_internal` tinyint(1) NOT NULL,
  `is_read` tinyint(1) NOT NULL DEFAULT 0,
  `read_at` datetime(6) DEFAULT NULL,
  `version` int(11) NOT NULL DEFAULT 1,
  `created_at` datetime(6) NOT NULL,
  `updated_at` datetime(6) NOT NULL,
  `deleted_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `ticket` (`ticket_id`,`id`),
  CONSTRAINT `message_ticket` FOREIGN KEY (`ticket_id`) REFERENCES `support_tickets` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `ticket_number_sequences` (
  `day` char(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `last_sequence` int(11) NOT NULL,
  PRIMARY KEY (`day`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

CREATE TABLE `ticket_tags` (
  `ticket_id` bigint(20) NOT NULL,
  `tag` varchar(50) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  PRIMARY KEY (`tag`,`ticket_id`),
  KEY `ticket` (`ticket_id`),
  CONSTRAINT `tag_ticket` FOREIGN KEY (`ticket_id`) REFERENCES `support_tickets` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci

INSERT INTO agents (`user_id`, `name`, `email`, `active`, `available`, `capacity`, `categories`, `last_assigned_at`, `created_at`, `updated_at`) VALUES (7, 'Agent', 'agent7@example.com', 1, 1, 20, '[]', '2026-11-22 20:40:13.463093', '2026-11-22 20:40:07.571039', '2026-11-22 20:40:11.122995')

INSERT INTO contacts (`user_id`, `email`, `name`, `locale`, `updated_at`) VALUES (1, 'customer1@example.com', 'Customer', NULL, '2026-11-22 20:40:09.210548')

INSERT INTO contacts (`user_id`, `email`, `name`, `locale`, `updated_at`) VALUES (2, 'customer2@example.com', 'Customer', NULL, '2026-11-22 20:40:09.766451')

INSERT INTO contacts (`user_id`, `email`, `name`, `locale`, `updated_at`) VALUES (3, 'customer3@example.com', 'Customer', NULL, '2026-11-22 20:40:10.277755')

INSERT INTO contacts (`user_id`, `email`, `name`, `locale`, `updated_at`) VALUES (7, 'agent7@example.com', 'Agent', NULL, '2026-11-22 20:40:11.593582')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (1, 'publish_event', 1, 1, '2026-11-22 20:40:11.210548', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:09.210548')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (2, 'notify', 1, 1, '2026-11-22 20:40:11.210548', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:09.210548')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (3, 'assign_tickets', 0, 216415280381685522, '2026-11-22 20:40:11.210548', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:09.210548')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (4, 'publish_event', 2, 1, '2026-11-22 20:40:11.766451', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:09.766451')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (5, 'notify', 2, 1, '2026-11-22 20:40:11.766451', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:09.766451')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (6, 'assign_tickets', 0, 213303453282502043, '2026-11-22 20:40:11.766451', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:09.766451')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (7, 'publish_event', 3, 1, '2026-11-22 20:40:12.277755', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:10.277755')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (8, 'notify', 3, 1, '2026-11-22 20:40:12.277755', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:10.277755')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (9, 'assign_tickets', 0, 3899989155598954204, '2026-11-22 20:40:12.277755', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:10.277755')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (10, 'publish_event', 4, 1, '2026-11-22 20:40:12.706888', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:10.706888')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (11, 'notify', 4, 1, '2026-11-22 20:40:12.706888', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:10.706888')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (12, 'assign_tickets', 0, 1907392230914241055, '2026-11-22 20:40:12.706888', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:10.706888')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (13, 'assign_tickets', 0, 3765985861999461990, '2026-11-22 20:40:13.122995', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:11.122995')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (14, 'publish_event', 2, 2, '2026-11-22 20:40:13.455073', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:11.455073')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (15, 'notify', 2, 2, '2026-11-22 20:40:13.455073', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:11.455073')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (16, 'publish_event', 2, 3, '2026-11-22 20:40:13.593582', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:11.593582')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (17, 'notify', 2, 3, '2026-11-22 20:40:13.593582', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:11.593582')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (18, 'publish_event', 2, 6, '2026-11-22 20:40:14.346845', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:12.346845')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (19, 'notify', 2, 6, '2026-11-22 20:40:14.346845', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:12.346845')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (20, 'publish_event', 3, 2, '2026-11-22 20:40:14.776836', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:12.776836')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (21, 'notify', 3, 2, '2026-11-22 20:40:14.776836', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:12.776836')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (22, 'publish_event', 3, 3, '2026-11-22 20:40:15.070919', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:13.070919')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (23, 'notify', 3, 3, '2026-11-22 20:40:15.070919', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:13.070919')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (24, 'assign_tickets', 0, 1012222032242104859, '2026-11-22 20:40:15.070919', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:13.070919')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (25, 'publish_event', 4, 2, '2026-11-22 20:40:15.463093', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:13.463093')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (26, 'notify', 4, 2, '2026-11-22 20:40:15.463093', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:13.463093')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (27, 'publish_event', 4, 3, '2026-11-22 20:40:15.733668', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:13.733668')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (28, 'notify', 4, 3, '2026-11-22 20:40:15.733668', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:13.733668')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (29, 'assign_tickets', 0, 3157023819152924456, '2026-11-22 20:40:15.733668', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:13.733668')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (30, 'publish_event', 4, 4, '2026-11-22 20:40:15.971169', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:13.971169')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (31, 'publish_event', 5, 1, '2026-11-22 20:40:16.130446', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:14.130446')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (32, 'notify', 5, 1, '2026-11-22 20:40:16.130446', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:14.130446')

INSERT INTO due_effects (`id`, `effect`, `ticket_id`, `sequence`, `due_at`, `lease_owner`, `leased_until`, `tries`, `last_error`, `failed_at`, `created_at`) VALUES (33, 'assign_tickets', 0, 1852213183213491450, '2026-11-22 20:40:16.130446', NULL, NULL, 0, NULL, NULL, '2026-11-22 20:40:14.130446')

INSERT INTO rate_counters (`key_hash`, `hits`, `expires_at`) VALUES ('6980bd79045c7b39e74656d06c54dbab1c236db8ff3978a2808ac02669236128', 1, '2026-11-22 21:00:00')

INSERT INTO rate_counters (`key_hash`, `hits`, `expires_at`) VALUES ('8da49cfb4f0339ed4aa68997b9813fae18e737cd78f1790ff694869343193cff', 1, '2026-11-22 20:41:00')

INSERT INTO rate_counters (`key_hash`, `hits`, `expires_at`) VALUES ('ba7a1a6330db33ed54b89381abafb19fc2859e0423eb7ce27cc86bc6d31141a2', 1, '2026-11-22 20:41:00')

INSERT INTO schema_migration (`id`, `name`, `applied`) VALUES (1, '0001_support_tickets', '2026-11-22 20:39:58')

INSERT INTO schema_migration (`id`, `name`, `applied`) VALUES (2, '0002_ticket_search', '2026-11-22 20:39:59')

INSERT INTO schema_migration (`id`, `name`, `applied`) VALUES (3, '0003_conversations', '2026-11-22 20:40:00')

INSERT INTO schema_migration (`id`, `name`, `applied`) VALUES (4, '0004_event_log', '2026-11-22 20:40:00')

INSERT INTO schema_migration (`id`, `name`, `applied`) VALUES (5, '0005_desk', '2026-11-22 20:40:00')

INSERT INTO schema_migration (`id`, `name`, `applied`) VALUES (6, '0006_scheduler', '2026-11-22 20:40:00')

INSERT INTO schema_migration (`id`, `name`, `applied`) VALUES (7, '0007_received_events', '2026-11-22 20:40:00')

INSERT INTO schema_migration (`id`, `name`, `applied`) VALUES (8, '0008_attachment_states', '2026-11-22 20:40:00')

INSERT INTO schema_migration (`id`, `name`, `applied`) VALUES (9, '0009_guests', '2026-11-22 20:40:02')

INSERT INTO schema_migration (`id`, `name`, `applied`) VALUES (10, '0010_assignment', '2026-11-22 20:40:05')

INSERT INTO schema_migration (`id`, `name`, `applied`) VALUES (11, '0011_mails', '2026-11-22 20:40:05')

INSERT INTO support_tickets (`id`, `ticket_number`, `user_id`, `assigned_to`, `subject`, `description`, `status`, `priority`, `category`, `source`, `contact_email`, `contact_name`, `first_response_at`, `resolved_at`, `closed_at`, `escalated_at`, `resolution_notes`, `internal_notes`, `satisfaction_rating`, `satisfaction_comment`, `tags`, `metadata`, `reopen_count`, `version`, `read_marks`, `event_count`, `published_event_count`, `created_at`, `updated_at`, `deleted_at`, `access_token_hash`, `locale`) VALUES (1, 'TICKET-20261122-001', 1, NULL, 'Colis égaré numéro 1', 'Commande payée, jamais arrivée.', 'open', 'urgent', 'delivery', 'web', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[\"colis\"]', '{}', 0, 1, 0, 1, 1, '2026-11-22 20:40:09.210548', '2026-11-22 20:40:09.210548', NULL, NULL, NULL)

INSERT INTO support_tickets (`id`, `ticket_number`, `user_id`, `assigned_to`, `subject`, `description`, `status`, `priority`, `category`, `source`, `contact_email`, `contact_name`, `first_response_at`, `resolved_at`, `closed_at`, `escalated_at`, `resolution_notes`, `internal_notes`, `satisfaction_rating`, `satisfaction_comment`, `tags`, `metadata`, `reopen_count`, `version`, `read_marks`, `event_count`, `published_event_count`, `created_at`, `updated_at`, `deleted_at`, `access_token_hash`, `locale`) VALUES (2, 'TICKET-20261122-002', 2, 7, 'Colis égaré numéro 2', 'Commande payée, jamais arrivée.', 'in_progress', 'normal', 'delivery', 'web', NULL, NULL, '2026-11-22 20:40:11.593582', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[\"colis\"]', '{}', 0, 5, 0, 6, 4, '2026-11-22 20:40:09.766451', '2026-11-22 20:40:12.346845', NULL, NULL, NULL)

INSERT INTO support_tickets (`id`, `ticket_number`, `user_id`, `assigned_to`, `subject`, `description`, `status`, `priority`, `category`, `source`, `contact_email`, `contact_name`, `first_response_at`, `resolved_at`, `closed_at`, `escalated_at`, `resolution_notes`, `internal_notes`, `satisfaction_rating`, `satisfaction_comment`, `tags`, `metadata`, `reopen_count`, `version`, `read_marks`, `event_count`, `published_event_count`, `created_at`, `updated_at`, `deleted_at`, `access_token_hash`, `locale`) VALUES (3, 'TICKET-20261122-003', 3, 7, 'Colis égaré numéro 3', 'Commande payée, jamais arrivée.', 'resolved', 'low', 'delivery', 'web', NULL, NULL, NULL, '2026-11-22 20:40:13.070919', NULL, NULL, 'Renvoyé.', NULL, NULL, NULL, '[\"colis\"]', '{}', 0, 3, 0, 3, 3, '2026-11-22 20:40:10.277755', '2026-11-22 20:40:13.070919', NULL, NULL, NULL)

INSERT INTO support_tickets (`id`, `ticket_number`, `user_id`, `assigned_to`, `subject`, `description`, `status`, `priority`, `category`, `source`, `contact_email`, `contact_name`, `first_response_at`, `resolved_at`, `closed_at`, `escalated_at`, `resolution_notes`, `internal_notes`, `satisfaction_rating`, `satisfaction_comment`, `tags`, `metadata`, `reopen_count`, `version`, `read_marks`, `event_count`, `published_event_count`, `created_at`, `updated_at`, `deleted_at`, `access_token_hash`, `locale`) VALUES (4, 'TICKET-20261122-004', 1, 7, 'Colis égaré numéro 1', 'Commande payée, jamais arrivée.', 'closed', 'high', 'delivery', 'web', NULL, NULL, NULL, NULL, '2026-11-22 20:40:13.733668', NULL, NULL, NULL, 4, NULL, '[\"colis\"]', '{}', 0, 4, 0, 4, 4, '2026-11-22 20:40:10.706888', '2026-11-22 20:40:13.971169', NULL, NULL, NULL)

INSERT INTO support_tickets (`id`, `ticket_number`, `user_id`, `assigned_to`, `subject`, `description`, `status`, `priority`, `category`, `source`, `contact_email`, `contact_name`, `first_response_at`, `resolved_at`, `closed_at`, `escalated_at`, `resolution_notes`, `internal_notes`, `satisfaction_rating`, `satisfaction_comment`, `tags`, `metadata`, `reopen_count`, `version`, `read_marks`, `event_count`, `published_event_count`, `created_at`, `updated_at`, `deleted_at`, `access_token_hash`, `locale`) VALUES (5, 'TICKET-20261122-005-7QYX5AZB', NULL, NULL, 'Facture introuvable', 'Où est ma facture ?', 'open', 'normal', NULL, 'web', 'guest@example.com', 'Gaëlle', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '{}', 0, 1, 0, 1, 1, '2026-11-22 20:40:14.130446', '2026-11-22 20:40:14.130446', NULL, '741f86ebbc6cfc41bf259ec915179c321bb421c7f156be1459b0959726ca2e6e', 'fr')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (1, '0b0c32a7-7606-42ac-8532-a9fc4929f294', 1, 1, 1, 'ticket.created', '{\"ticket_id\":1,\"ticket_number\":\"TICKET-20261122-001\",\"user_id\":1,\"subject\":\"Colis égaré numéro 1\",\"priority\":\"urgent\",\"category\":\"delivery\",\"source\":\"web\"}', '{}', 1, 'customer', '764ec913-b58a-494d-a0e5-67ef68dcdd61', '2026-11-22 20:40:09.210548')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (2, 'e1b5e16c-6d6c-4486-b5b8-32193de9253c', 2, 1, 1, 'ticket.created', '{\"ticket_id\":2,\"ticket_number\":\"TICKET-20261122-002\",\"user_id\":2,\"subject\":\"Colis égaré numéro 2\",\"priority\":\"normal\",\"category\":\"delivery\",\"source\":\"web\"}', '{}', 2, 'customer', '93f5898c-b5fa-4a96-afe4-8166adc1ea47', '2026-11-22 20:40:09.766451')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (3, '87b906e9-82b9-4840-81c4-aa33584c3cae', 3, 1, 1, 'ticket.created', '{\"ticket_id\":3,\"ticket_number\":\"TICKET-20261122-003\",\"user_id\":3,\"subject\":\"Colis égaré numéro 3\",\"priority\":\"low\",\"category\":\"delivery\",\"source\":\"web\"}', '{}', 3, 'customer', 'fb0cc12a-70ae-424d-b78e-ceb74e316df8', '2026-11-22 20:40:10.277755')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (4, 'd41c376f-007b-4e3d-8973-2ba98b326472', 4, 1, 1, 'ticket.created', '{\"ticket_id\":4,\"ticket_number\":\"TICKET-20261122-004\",\"user_id\":1,\"subject\":\"Colis égaré numéro 1\",\"priority\":\"high\",\"category\":\"delivery\",\"source\":\"web\"}', '{}', 1, 'customer', 'f56aa087-e683-469d-9e27-f843feab4bea', '2026-11-22 20:40:10.706888')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (5, '5a6e28ef-f327-48d3-89da-21e0d710b4ab', 2, 2, 2, 'ticket.assigned', '{\"ticket_id\":2,\"ticket_number\":\"TICKET-20261122-002\",\"user_id\":2,\"agent_id\":7,\"previous_agent_id\":null,\"assigned_by\":7,\"reason\":\"manual\"}', '{\"status\":{\"from\":\"open\",\"to\":\"assigned\"},\"assigned_to\":{\"from\":null,\"to\":7}}', 7, 'agent', '1e4a160d-2241-4f66-80bd-cf265c55cef5', '2026-11-22 20:40:11.455073')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (6, '795294f1-d5f7-423c-b187-aca6c1f522a9', 2, 3, 3, 'ticket.message.new', '{\"ticket_id\":2,\"ticket_number\":\"TICKET-20261122-002\",\"user_id\":2,\"message_id\":1,\"author_role\":\"agent\"}', '{\"first_response_at\":{\"from\":null,\"to\":\"2026-11-22T20:40:11.593582Z\"}}', 7, 'agent', 'a1c2d829-1f7c-40db-925b-1e01ec063c36', '2026-11-22 20:40:11.593582')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (7, '8946651c-daaa-4853-9bf2-51163a5ba740', 2, 4, NULL, 'ticket.status_changed', '{\"ticket_id\":2,\"ticket_number\":\"TICKET-20261122-002\",\"user_id\":2}', '{\"status\":{\"from\":\"assigned\",\"to\":\"in_progress\"}}', 7, 'agent', 'a1c2d829-1f7c-40db-925b-1e01ec063c36', '2026-11-22 20:40:11.593582')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (8, '772cb184-5bb7-4e80-bec9-4b92adb9f916', 2, 5, NULL, 'ticket.note.added', '{\"ticket_id\":2,\"ticket_number\":\"TICKET-20261122-002\",\"user_id\":2,\"message_id\":2}', '{}', 7, 'agent', '45b6dd6f-f971-40c2-9124-490b7e2ffb56', '2026-11-22 20:40:12.019506')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (9, '763ae09d-498c-4f3f-b899-5892f8f71c77', 2, 6, 4, 'ticket.message.new', '{\"ticket_id\":2,\"ticket_number\":\"TICKET-20261122-002\",\"user_id\":2,\"message_id\":3,\"author_role\":\"customer\"}', '{}', 2, 'customer', '7c3752f0-7026-4ee0-9676-204277feb024', '2026-11-22 20:40:12.346845')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (10, '90896a65-a4a9-4669-aca7-3e216b113ad4', 3, 2, 2, 'ticket.assigned', '{\"ticket_id\":3,\"ticket_number\":\"TICKET-20261122-003\",\"user_id\":3,\"agent_id\":7,\"previous_agent_id\":null,\"assigned_by\":7,\"reason\":\"manual\"}', '{\"status\":{\"from\":\"open\",\"to\":\"assigned\"},\"assigned_to\":{\"from\":null,\"to\":7}}', 7, 'agent', 'aa7be7ea-b45f-4d2f-b2c1-ce87e62f2c76', '2026-11-22 20:40:12.776836')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (11, '011c29ab-89de-4a46-b3d6-098e752a11da', 3, 3, 3, 'ticket.resolved', '{\"ticket_id\":3,\"ticket_number\":\"TICKET-20261122-003\",\"user_id\":3,\"agent_id\":7,\"resolution_seconds\":2}', '{\"status\":{\"from\":\"assigned\",\"to\":\"resolved\"},\"resolved_at\":{\"from\":null,\"to\":\"2026-11-22T20:40:13.070919Z\"},\"resolution_notes\":{\"from\":null,\"to\":\"Renvoyé.\"}}', 7, 'agent', '4d93abdd-5c67-4a55-ad7d-b0c7beb86147', '2026-11-22 20:40:13.070919')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (12, '226018fa-38d8-4195-9cbf-8007e15ff00d', 4, 2, 2, 'ticket.assigned', '{\"ticket_id\":4,\"ticket_number\":\"TICKET-20261122-004\",\"user_id\":1,\"agent_id\":7,\"previous_agent_id\":null,\"assigned_by\":7,\"reason\":\"manual\"}', '{\"status\":{\"from\":\"open\",\"to\":\"assigned\"},\"assigned_to\":{\"from\":null,\"to\":7}}', 7, 'agent', 'd414dc37-ad2b-4fcd-81bd-398a8cb87dc9', '2026-11-22 20:40:13.463093')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (13, '0f626bdd-9969-454e-8773-8d33d0b3aa86', 4, 3, 3, 'ticket.closed', '{\"ticket_id\":4,\"ticket_number\":\"TICKET-20261122-004\",\"user_id\":1,\"closed_by\":7,\"reason\":\"Doublon\"}', '{\"status\":{\"from\":\"assigned\",\"to\":\"closed\"},\"closed_at\":{\"from\":null,\"to\":\"2026-11-22T20:40:13.733668Z\"}}', 7, 'agent', '43b23595-7ed6-4a79-a4a1-c1f8c87b5a1f', '2026-11-22 20:40:13.733668')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (14, 'b5866d16-f737-49e6-8268-5cd6a31d2b38', 4, 4, 4, 'ticket.satisfaction.received', '{\"ticket_id\":4,\"ticket_number\":\"TICKET-20261122-004\",\"user_id\":1,\"rating\":4}', '{\"satisfaction_rating\":{\"from\":null,\"to\":4}}', 1, 'customer', '264865d9-4c1a-49f6-b2a4-f7d354a9950e', '2026-11-22 20:40:13.971169')

INSERT INTO ticket_events (`id`, `event_id`, `ticket_id`, `sequence`, `published_sequence`, `name`, `data`, `changes`, `actor_id`, `actor_role`, `request_id`, `occurred_at`) VALUES (15, '2c043c8e-4e5e-4372-a957-ff6f25a9ecf1', 5, 1, 1, 'ticket.created', '{\"ticket_id\":5,\"ticket_number\":\"TICKET-20261122-005-7QYX5AZB\",\"user_id\":null,\"subject\":\"Facture introuvable\",\"priority\":\"normal\",\"category\":null,\"source\":\"web\"}', '{}', NULL, 'guest', 'df50abba-959a-4419-a77c-3ee009ffc6b9', '2026-11-22 20:40:14.130446')

INSERT INTO ticket_messages (`id`, `ticket_id`, `user_id`, `author_role`, `author_name`, `author_email`, `content`, `is_internal`, `is_read`, `read_at`, `version`, `created_at`, `updated_at`, `deleted_at`) VALUES (1, 2, 7, 'agent', 'Agent', 'agent7@example.com', 'Nous cherchons.', 0, 0, NULL, 1, '2026-11-22 20:40:11.593582', '2026-11-22 20:40:11.593582', NULL)

INSERT INTO ticket_messages (`id`, `ticket_id`, `user_id`, `author_role`, `author_name`, `author_email`, `content`, `is_internal`, `is_read`, `read_at`, `version`, `created_at`, `updated_at`, `deleted_at`) VALUES (2, 2, 7, 'agent', 'Agent', 'agent7@example.com', 'Le transporteur a été appelé.', 1, 0, NULL, 1, '2026-11-22 20:40:12.019506', '2026-11-22 20:40:12.019506', NULL)

INSERT INTO ticket_messages (`id`, `ticket_id`, `user_id`, `author_role`, `author_name`, `author_email`, `content`, `is_internal`, `is_read`, `read_at`, `version`, `created_at`, `updated_at`, `deleted_at`) VALUES (3, 2, 2, 'customer', 'Customer', 'customer2@example.com', 'Merci.', 0, 0, NULL, 1, '2026-11-22 20:40:12.346845', '2026-11-22 20:40:12.346845', NULL)

INSERT INTO ticket_number_sequences (`day`, `last_sequence`) VALUES ('20261122', 5)

INSERT INTO ticket_tags (`ticket_id`, `tag`) VALUES (1, 'colis')

INSERT INTO ticket_tags (`ticket_id`, `tag`) VALUES (2, 'colis')

INSERT INTO ticket_tags (`ticket_id`, `tag`) VALUES (3, 'colis')

INSERT INTO ticket_tags (`ticket_id`, `tag`) VALUES (4, 'colis')

SET FOREIGN_KEY_CHECKS = 1
