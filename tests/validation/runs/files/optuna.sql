-- written by optuna 5.0.0
BEGIN TRANSACTION;
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'widths');
INSERT INTO "studies" VALUES(2,'two objectives');
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_intermediate_values" VALUES(1,1,0,0.9,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(2,1,1,0.5,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(3,2,0,0.9,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(4,2,1,NULL,'NAN');
INSERT INTO "trial_intermediate_values" VALUES(5,4,0,0.9,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(6,4,1,NULL,'INF_POS');
INSERT INTO "trial_intermediate_values" VALUES(7,5,0,0.9,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(8,5,1,0.8,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(9,6,0,0.9,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(10,7,0,0.9,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(11,7,1,0.7,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(12,8,0,0.4,'FINITE');
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'width',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [64, 128, 256]}}');
INSERT INTO "trial_params" VALUES(2,1,'lr',0.001,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 10.0, "log": true}}');
INSERT INTO "trial_params" VALUES(3,1,'batch',32.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 16, "low": 16, "high": 64}}');
INSERT INTO "trial_params" VALUES(4,2,'width',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [64, 128, 256]}}');
INSERT INTO "trial_params" VALUES(5,2,'lr',0.002,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 10.0, "log": true}}');
INSERT INTO "trial_params" VALUES(6,2,'batch',32.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 16, "low": 16, "high": 64}}');
INSERT INTO "trial_params" VALUES(7,3,'width',2.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [64, 128, 256]}}');
INSERT INTO "trial_params" VALUES(8,3,'lr',0.004,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 10.0, "log": true}}');
INSERT INTO "trial_params" VALUES(9,3,'batch',32.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 16, "low": 16, "high": 64}}');
INSERT INTO "trial_params" VALUES(10,4,'width',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [64, 128, 256]}}');
INSERT INTO "trial_params" VALUES(11,4,'lr',0.008,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 10.0, "log": true}}');
INSERT INTO "trial_params" VALUES(12,4,'batch',32.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 16, "low": 16, "high": 64}}');
INSERT INTO "trial_params" VALUES(13,5,'width',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [64, 128, 256]}}');
INSERT INTO "trial_params" VALUES(14,5,'lr',0.016,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 10.0, "log": true}}');
INSERT INTO "trial_params" VALUES(15,5,'batch',32.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 16, "low": 16, "high": 64}}');
INSERT INTO "trial_params" VALUES(16,6,'width',2.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [64, 128, 256]}}');
INSERT INTO "trial_params" VALUES(17,6,'lr',0.032,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 10.0, "log": true}}');
INSERT INTO "trial_params" VALUES(18,6,'batch',32.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 16, "low": 16, "high": 64}}');
INSERT INTO "trial_params" VALUES(19,7,'width',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [64, 128, 256]}}');
INSERT INTO "trial_params" VALUES(20,7,'lr',0.064,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 10.0, "log": true}}');
INSERT INTO "trial_params" VALUES(21,7,'batch',32.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 16, "low": 16, "high": 64}}');
INSERT INTO "trial_params" VALUES(22,8,'width',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [64, 128, 256]}}');
INSERT INTO "trial_params" VALUES(23,8,'lr',0.128,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 10.0, "log": true}}');
INSERT INTO "trial_params" VALUES(24,8,'batch',32.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 16, "low": 16, "high": 64}}');
INSERT INTO "trial_params" VALUES(25,10,'lr',0.5,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.1, "high": 1.0, "log": false}}');
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'seed','0');
INSERT INTO "trial_user_attributes" VALUES(2,2,'seed','1');
INSERT INTO "trial_user_attributes" VALUES(3,3,'seed','0');
INSERT INTO "trial_user_attributes" VALUES(4,4,'seed','1');
INSERT INTO "trial_user_attributes" VALUES(5,5,'seed','0');
INSERT INTO "trial_user_attributes" VALUES(6,6,'seed','1');
INSERT INTO "trial_user_attributes" VALUES(7,7,'seed','0');
INSERT INTO "trial_user_attributes" VALUES(8,8,'seed','1');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,0.25,'FINITE');
INSERT INTO "trial_values" VALUES(2,6,0,NULL,'INF_POS');
INSERT INTO "trial_values" VALUES(3,7,0,0.7,'FINITE');
INSERT INTO "trial_values" VALUES(4,8,0,0.125,'FINITE');
INSERT INTO "trial_values" VALUES(5,10,0,0.5,'FINITE');
INSERT INTO "trial_values" VALUES(6,10,1,0.75,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-30 17:47:20.496224','2026-11-30 17:47:20.698177');
INSERT INTO "trials" VALUES(2,1,1,'FAIL','2026-11-30 17:47:20.748562','2026-11-30 17:47:21.019761');
INSERT INTO "trials" VALUES(3,2,1,'FAIL','2026-11-30 17:47:21.083564','2026-11-30 17:47:21.206937');
INSERT INTO "trials" VALUES(4,3,1,'FAIL','2026-11-30 17:47:21.275834','2026-11-30 17:47:21.569634');
INSERT INTO "trials" VALUES(5,4,1,'FAIL','2026-11-30 17:47:21.606349','2026-11-30 17:47:21.824542');
INSERT INTO "trials" VALUES(6,5,1,'COMPLETE','2026-11-30 17:47:21.892582','2026-11-30 17:47:22.088947');
INSERT INTO "trials" VALUES(7,6,1,'PRUNED','2026-11-30 17:47:22.141905','2026-11-30 17:47:22.365914');
INSERT INTO "trials" VALUES(8,7,1,'COMPLETE','2026-11-30 17:47:22.414649','2026-11-30 17:47:22.547406');
INSERT INTO "trials" VALUES(9,8,1,'WAITING',NULL,NULL);
INSERT INTO "trials" VALUES(10,0,2,'COMPLETE','2026-11-30 17:47:22.791890','2026-11-30 17:47:22.940770');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
COMMIT;
