-- written by mlflow 3.17.2
BEGIN TRANSACTION;
CREATE TABLE "experiments" (
	experiment_id INTEGER NOT NULL, 
	name VARCHAR(256) NOT NULL, 
	artifact_location VARCHAR(256), 
	lifecycle_stage VARCHAR(32), 
	creation_time BIGINT, 
	last_update_time BIGINT, 
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	CONSTRAINT experiment_pk PRIMARY KEY (experiment_id), 
	CONSTRAINT experiments_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')), 
	CONSTRAINT uq_experiments_workspace_name UNIQUE (workspace, name)
);
INSERT INTO "experiments" VALUES(0,'Default','','active',1796060869250,1796060869250,'default');
INSERT INTO "experiments" VALUES(1,'widths','','active',1796060869302,1796060869302,'default');
CREATE TABLE "latest_metrics" (
	"key" VARCHAR(250) NOT NULL, 
	value FLOAT NOT NULL, 
	timestamp BIGINT, 
	step BIGINT NOT NULL, 
	is_nan BOOLEAN NOT NULL, 
	run_uuid VARCHAR(32) NOT NULL, 
	CONSTRAINT latest_metric_pk PRIMARY KEY ("key", run_uuid), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid), 
	CHECK (is_nan IN (0, 1))
);
INSERT INTO "latest_metrics" VALUES('val/loss',0.25,1796060870110,1,0,'c7731ea061224785a56e62fcb1113b36');
INSERT INTO "latest_metrics" VALUES('val/loss',0.0,1796060870308,1,1,'9155fcc4cef24941b6d69ce84d28eefd');
INSERT INTO "latest_metrics" VALUES('val/loss',0.0,1796060870514,1,1,'dd882eaae93244869b17d8407e3c7d59');
INSERT INTO "latest_metrics" VALUES('val/loss',0.8,1796060870735,1,0,'f2a0816e021145f98e5fa4922c3aadcb');
INSERT INTO "latest_metrics" VALUES('val/loss',0.9,1796060870907,0,0,'9a58003c66b542d1b8a9c9cbd5745ea1');
INSERT INTO "latest_metrics" VALUES('val/loss',1.79769313486231562234e+308,1796060871165,1,0,'2415757f1b2b45c29ef2f0ce3ee44fc8');
INSERT INTO "latest_metrics" VALUES('val/loss',0.9,1796060871448,0,0,'2d712f8c266c40b9a056434b11532abc');
CREATE TABLE "metrics" (
	"key" VARCHAR(250) NOT NULL, 
	value FLOAT NOT NULL, 
	timestamp BIGINT NOT NULL, 
	run_uuid VARCHAR(32) NOT NULL, 
	step BIGINT DEFAULT '0' NOT NULL, 
	is_nan BOOLEAN DEFAULT '0' NOT NULL, 
	CONSTRAINT metric_pk PRIMARY KEY ("key", timestamp, step, run_uuid, value, is_nan), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid), 
	CHECK (is_nan IN (0, 1))
);
INSERT INTO "metrics" VALUES('val/loss',0.9,1796060870073,'c7731ea061224785a56e62fcb1113b36',0,0);
INSERT INTO "metrics" VALUES('val/loss',0.25,1796060870110,'c7731ea061224785a56e62fcb1113b36',1,0);
INSERT INTO "metrics" VALUES('val/loss',0.9,1796060870275,'9155fcc4cef24941b6d69ce84d28eefd',0,0);
INSERT INTO "metrics" VALUES('val/loss',0.0,1796060870308,'9155fcc4cef24941b6d69ce84d28eefd',1,1);
INSERT INTO "metrics" VALUES('val/loss',0.9,1796060870476,'dd882eaae93244869b17d8407e3c7d59',0,0);
INSERT INTO "metrics" VALUES('val/loss',0.0,1796060870514,'dd882eaae93244869b17d8407e3c7d59',1,1);
INSERT INTO "metrics" VALUES('val/loss',0.9,1796060870702,'f2a0816e021145f98e5fa4922c3aadcb',0,0);
INSERT INTO "metrics" VALUES('val/loss',0.8,1796060870735,'f2a0816e021145f98e5fa4922c3aadcb',1,0);
INSERT INTO "metrics" VALUES('val/loss',0.9,1796060870907,'9a58003c66b542d1b8a9c9cbd5745ea1',0,0);
INSERT INTO "metrics" VALUES('val/loss',0.9,1796060871115,'2415757f1b2b45c29ef2f0ce3ee44fc8',0,0);
INSERT INTO "metrics" VALUES('val/loss',1.79769313486231562234e+308,1796060871165,'2415757f1b2b45c29ef2f0ce3ee44fc8',1,0);
INSERT INTO "metrics" VALUES('val/loss',0.9,1796060871448,'2d712f8c266c40b9a056434b11532abc',0,0);
CREATE TABLE "params" (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(8000) NOT NULL, 
	run_uuid VARCHAR(32) NOT NULL, 
	CONSTRAINT param_pk PRIMARY KEY ("key", run_uuid), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid)
);
INSERT INTO "params" VALUES('width','64','c7731ea061224785a56e62fcb1113b36');
INSERT INTO "params" VALUES('lr','0.001','c7731ea061224785a56e62fcb1113b36');
INSERT INTO "params" VALUES('width','128','9155fcc4cef24941b6d69ce84d28eefd');
INSERT INTO "params" VALUES('lr','0.002','9155fcc4cef24941b6d69ce84d28eefd');
INSERT INTO "params" VALUES('width','256','dd882eaae93244869b17d8407e3c7d59');
INSERT INTO "params" VALUES('lr','0.004','dd882eaae93244869b17d8407e3c7d59');
INSERT INTO "params" VALUES('width','64','f2a0816e021145f98e5fa4922c3aadcb');
INSERT INTO "params" VALUES('lr','0.008','f2a0816e021145f98e5fa4922c3aadcb');
INSERT INTO "params" VALUES('width','128','9a58003c66b542d1b8a9c9cbd5745ea1');
INSERT INTO "params" VALUES('lr','0.016','9a58003c66b542d1b8a9c9cbd5745ea1');
INSERT INTO "params" VALUES('width','256','2415757f1b2b45c29ef2f0ce3ee44fc8');
INSERT INTO "params" VALUES('lr','0.032','2415757f1b2b45c29ef2f0ce3ee44fc8');
INSERT INTO "params" VALUES('width','64','4f1aa97c62f644f189fae2c868cb5460');
INSERT INTO "params" VALUES('lr','0.064','4f1aa97c62f644f189fae2c868cb5460');
INSERT INTO "params" VALUES('width','128','2d712f8c266c40b9a056434b11532abc');
INSERT INTO "params" VALUES('lr','0.128','2d712f8c266c40b9a056434b11532abc');
INSERT INTO "params" VALUES('width','64','3f0a2fbc248246d299c8db1025136ce5');
INSERT INTO "params" VALUES('lr','1','3f0a2fbc248246d299c8db1025136ce5');
CREATE TABLE "runs" (
	run_uuid VARCHAR(32) NOT NULL, 
	name VARCHAR(250), 
	source_type VARCHAR(20), 
	source_name VARCHAR(500), 
	entry_point_name VARCHAR(50), 
	user_id VARCHAR(256), 
	status VARCHAR(9), 
	start_time BIGINT, 
	end_time BIGINT, 
	source_version VARCHAR(50), 
	lifecycle_stage VARCHAR(20), 
	artifact_uri VARCHAR(200), 
	experiment_id INTEGER, deleted_time BIGINT, 
	CONSTRAINT run_pk PRIMARY KEY (run_uuid), 
	CONSTRAINT runs_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')), 
	CONSTRAINT source_type CHECK (source_type IN ('NOTEBOOK', 'JOB', 'LOCAL', 'UNKNOWN', 'PROJECT')), 
	FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id), 
	CHECK (status IN ('SCHEDULED', 'FAILED', 'FINISHED', 'RUNNING', 'KILLED'))
);
INSERT INTO "runs" VALUES('c7731ea061224785a56e62fcb1113b36','planned-0','UNKNOWN','','','','FINISHED',1796060869972,1796060870150,'','active','',1,NULL);
INSERT INTO "runs" VALUES('9155fcc4cef24941b6d69ce84d28eefd','planned-1','UNKNOWN','','','','FINISHED',1796060870188,1796060870346,'','active','',1,NULL);
INSERT INTO "runs" VALUES('dd882eaae93244869b17d8407e3c7d59','planned-2','UNKNOWN','','','','FAILED',1796060870372,1796060870547,'','active','',1,NULL);
INSERT INTO "runs" VALUES('f2a0816e021145f98e5fa4922c3aadcb','planned-3','UNKNOWN','','','','FAILED',1796060870592,1796060870774,'','active','',1,NULL);
INSERT INTO "runs" VALUES('9a58003c66b542d1b8a9c9cbd5745ea1','planned-4','UNKNOWN','','','','KILLED',1796060870819,1796060870941,'','active','',1,NULL);
INSERT INTO "runs" VALUES('2415757f1b2b45c29ef2f0ce3ee44fc8','planned-5','UNKNOWN','','','','FINISHED',1796060870987,1796060871194,'','active','',1,NULL);
INSERT INTO "runs" VALUES('4f1aa97c62f644f189fae2c868cb5460','planned-6','UNKNOWN','','','','FINISHED',1796060871225,1796060871313,'','active','',1,NULL);
INSERT INTO "runs" VALUES('2d712f8c266c40b9a056434b11532abc','planned-7','UNKNOWN','','','','RUNNING',1796060871355,1796060871490,'','active','',1,NULL);
INSERT INTO "runs" VALUES('3f0a2fbc248246d299c8db1025136ce5','deleted','UNKNOWN','','','','FINISHED',1796060871549,1796060871655,'','deleted','',1,1796060871715);
CREATE TABLE "tags" (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(8000), 
	run_uuid VARCHAR(32) NOT NULL, 
	CONSTRAINT tag_pk PRIMARY KEY ("key", run_uuid), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid)
);
INSERT INTO "tags" VALUES('mlflow.runName','planned-0','c7731ea061224785a56e62fcb1113b36');
INSERT INTO "tags" VALUES('mlflow.runName','planned-1','9155fcc4cef24941b6d69ce84d28eefd');
INSERT INTO "tags" VALUES('mlflow.runName','planned-2','dd882eaae93244869b17d8407e3c7d59');
INSERT INTO "tags" VALUES('mlflow.runName','planned-3','f2a0816e021145f98e5fa4922c3aadcb');
INSERT INTO "tags" VALUES('mlflow.runName','planned-4','9a58003c66b542d1b8a9c9cbd5745ea1');
INSERT INTO "tags" VALUES('mlflow.runName','planned-5','2415757f1b2b45c29ef2f0ce3ee44fc8');
INSERT INTO "tags" VALUES('mlflow.runName','planned-6','4f1aa97c62f644f189fae2c868cb5460');
INSERT INTO "tags" VALUES('mlflow.runName','planned-7','2d712f8c266c40b9a056434b11532abc');
INSERT INTO "tags" VALUES('mlflow.runName','deleted','3f0a2fbc248246d299c8db1025136ce5');
COMMIT;
