//! The property names of each create request and of each entity, as the published schemas of 1.11 to 2.0 have them.
//!
//! Names only: what a property means is for `kinds.rs`, `mapping.rs` and `expand.rs` to know.

/// The properties of one collection.
pub struct Properties {
    /// The path below `/v1/`.
    pub path: &'static str,
    /// What a create request may have, separated by spaces.
    pub create: &'static str,
    /// What only the entity has, separated by spaces; with `create`, what `fields=` may ask for.
    pub entity: &'static str,
}

/// One entry for each collection in `kinds.rs`.
pub const PROPERTIES: &[Properties] = &[
    Properties {
        path: "services/apiServices",
        create: "connection dataProducts description displayName domains ingestionRunner name owners serviceType \
                 tags",
        entity: "changeDescription dataContract deleted entityStatus followers fullyQualifiedName href id \
                 impersonatedBy incrementalChangeDescription pipelines testConnectionResult updatedAt updatedBy \
                 version",
    },
    Properties {
        path: "services/dashboardServices",
        create: "connection dataProducts description displayName domains ingestionRunner name owners serviceType \
                 style tags",
        entity: "changeDescription dataContract deleted entityStatus followers fullyQualifiedName href id \
                 impersonatedBy incrementalChangeDescription pipelines testConnectionResult updatedAt updatedBy \
                 version",
    },
    Properties {
        path: "services/databaseServices",
        create: "connection dataProducts description displayName domains ingestionRunner name owners serviceType \
                 style tags",
        entity: "changeDescription dataContract deleted entityStatus followers fullyQualifiedName href id \
                 impersonatedBy incrementalChangeDescription pipelines testConnectionResult updatedAt updatedBy \
                 version",
    },
    Properties {
        path: "services/driveServices",
        create: "connection dataProducts description displayName domains ingestionRunner name owners serviceType \
                 style tags",
        entity: "changeDescription dataContract deleted followers fullyQualifiedName href id impersonatedBy \
                 incrementalChangeDescription pipelines testConnectionResult updatedAt updatedBy version",
    },
    Properties {
        path: "services/mcpServices",
        create: "connection dataProducts description displayName domains ingestionRunner name owners serviceType \
                 tags",
        entity: "changeDescription deleted followers fullyQualifiedName href id incrementalChangeDescription \
                 pipelines testConnectionResult updatedAt updatedBy version",
    },
    Properties {
        path: "services/messagingServices",
        create: "connection dataProducts description displayName domains ingestionRunner name owners serviceType \
                 style tags",
        entity: "changeDescription dataContract deleted entityStatus followers fullyQualifiedName href id \
                 impersonatedBy incrementalChangeDescription pipelines testConnectionResult updatedAt updatedBy \
                 version",
    },
    Properties {
        path: "services/metadataServices",
        create: "connection description displayName domains ingestionRunner name owners serviceType tags",
        entity: "changeDescription deleted entityStatus followers fullyQualifiedName href id impersonatedBy \
                 incrementalChangeDescription pipelines provider testConnectionResult updatedAt updatedBy version",
    },
    Properties {
        path: "services/mlmodelServices",
        create: "connection dataProducts description displayName domains ingestionRunner name owners serviceType \
                 style tags",
        entity: "changeDescription dataContract deleted entityStatus followers fullyQualifiedName href id \
                 impersonatedBy incrementalChangeDescription pipelines testConnectionResult updatedAt updatedBy \
                 version",
    },
    Properties {
        path: "services/pipelineServices",
        create: "connection dataProducts description displayName domains ingestionRunner lifeCycle name owners \
                 scheduleInterval serviceType style tags",
        entity: "changeDescription dataContract deleted entityStatus followers fullyQualifiedName href id \
                 impersonatedBy incrementalChangeDescription pipelines testConnectionResult updatedAt updatedBy \
                 version",
    },
    Properties {
        path: "services/searchServices",
        create: "connection dataProducts description displayName domains ingestionRunner name owners serviceType \
                 style tags",
        entity: "changeDescription dataContract deleted entityStatus followers fullyQualifiedName href id \
                 impersonatedBy incrementalChangeDescription pipelines testConnectionResult updatedAt updatedBy \
                 version",
    },
    Properties {
        path: "services/securityServices",
        create: "connection dataProducts description displayName domains ingestionRunner name owners serviceType \
                 tags",
        entity: "changeDescription dataContract deleted followers fullyQualifiedName href id impersonatedBy \
                 incrementalChangeDescription pipelines testConnectionResult updatedAt updatedBy version",
    },
    Properties {
        path: "services/storageServices",
        create: "connection dataProducts description displayName domains ingestionRunner name owners serviceType \
                 style tags",
        entity: "changeDescription dataContract deleted entityStatus followers fullyQualifiedName href id \
                 impersonatedBy incrementalChangeDescription pipelines testConnectionResult updatedAt updatedBy \
                 version",
    },
    Properties {
        path: "services/ingestionPipelines",
        create: "airflowConfig description displayName domains enableStreamableLogs loggerLevel name owners \
                 pipelineType processingEngine provider raiseOnError service sourceConfig",
        entity: "applicationType changeDescription deleted deployed enabled followers fullyQualifiedName href id \
                 impersonatedBy incrementalChangeDescription ingestionRunner openMetadataServerConnection \
                 pipelineStatuses updatedAt updatedBy version",
    },
    Properties {
        path: "databases",
        create: "dataProducts default description displayName domains extension lifeCycle name owners \
                 retentionPeriod service sourceHash sourceUrl tags",
        entity: "certification changeDescription dataContract databaseProfilerConfig databaseSchemas deleted \
                 entityStatus followers fullyQualifiedName href id impersonatedBy incrementalChangeDescription \
                 location serviceType updatedAt updatedBy usageSummary version votes",
    },
    Properties {
        path: "databaseSchemas",
        create: "dataProducts database description displayName domains extension lifeCycle name owners \
                 retentionPeriod sourceHash sourceUrl tags",
        entity: "certification changeDescription dataContract databaseSchemaProfilerConfig deleted entityStatus \
                 followers fullyQualifiedName href id impersonatedBy incrementalChangeDescription service \
                 serviceType tables updatedAt updatedBy usageSummary version votes",
    },
    Properties {
        path: "tables",
        create: "aliases columns dataModel dataProducts databaseSchema description displayName domains extension \
                 fileFormat lifeCycle locationPath name owners retentionPeriod schemaDefinition sourceHash \
                 sourceUrl tableConstraints tablePartition tableProfilerConfig tableType tags",
        entity: "certification changeDescription compressionCodec compressionEnabled compressionStrategy \
                 customMetrics dataContract database deleted entityStatus followers fullyQualifiedName href id \
                 impersonatedBy incrementalChangeDescription joins location pipelineObservability \
                 processedLineage profile queries sampleData service serviceType testSuite updatedAt updatedBy \
                 usageSummary version votes",
    },
    Properties {
        path: "storedProcedures",
        create: "dataProducts databaseSchema description displayName domains extension lifeCycle name owners \
                 sourceHash sourceUrl storedProcedureCode storedProcedureType tags",
        entity: "certification changeDescription code dataContract database deleted entityStatus followers \
                 fullyQualifiedName href id impersonatedBy incrementalChangeDescription processedLineage service \
                 serviceType updatedAt updatedBy version votes",
    },
    Properties {
        path: "queries",
        create: "description dialect displayName domains duration exclude_usage name owners processedLineage \
                 query queryDate queryUsedIn query_type service tags triggeredBy usedBy users",
        entity: "changeDescription checksum entityStatus followers fullyQualifiedName href id impersonatedBy \
                 incrementalChangeDescription updatedAt updatedBy version votes",
    },
    Properties {
        path: "charts",
        create: "chartType dashboards dataProducts description displayName domains extension lifeCycle name \
                 owners service sourceHash sourceUrl tags",
        entity: "certification changeDescription dataContract deleted entityStatus followers fullyQualifiedName \
                 href id impersonatedBy incrementalChangeDescription serviceType updatedAt updatedBy usageSummary \
                 version votes",
    },
    Properties {
        path: "dashboards",
        create: "charts dashboardType dataModels dataProducts description displayName domains extension lifeCycle \
                 name owners project service sourceHash sourceUrl tags",
        entity: "certification changeDescription dataContract deleted entityStatus followers fullyQualifiedName \
                 href id impersonatedBy incrementalChangeDescription serviceType updatedAt updatedBy usageSummary \
                 version votes",
    },
    Properties {
        path: "dashboard/datamodels",
        create: "columns dataModelType dataProducts description displayName domains extension lifeCycle name \
                 owners project service serviceType sourceHash sourceUrl sql tags",
        entity: "certification changeDescription dataContract deleted entityStatus followers fullyQualifiedName \
                 href id impersonatedBy incrementalChangeDescription updatedAt updatedBy version votes",
    },
    Properties {
        path: "topics",
        create: "cleanupPolicies dataProducts description displayName domains extension lifeCycle \
                 maximumMessageSize messageSchema minimumInSyncReplicas name owners partitions replicationFactor \
                 retentionSize retentionTime service sourceHash sourceUrl tags topicConfig",
        entity: "certification changeDescription dataContract deleted entityStatus followers fullyQualifiedName \
                 href id impersonatedBy incrementalChangeDescription sampleData serviceType updatedAt updatedBy \
                 version votes",
    },
    Properties {
        path: "searchIndexes",
        create: "dataProducts description displayName domains extension fields indexType lifeCycle name owners \
                 searchIndexSettings service sourceHash tags",
        entity: "certification changeDescription dataContract deleted entityStatus followers fullyQualifiedName \
                 href id impersonatedBy incrementalChangeDescription sampleData serviceType updatedAt updatedBy \
                 version votes",
    },
    Properties {
        path: "mlmodels",
        create: "algorithm dashboard dataProducts description displayName domains extension lifeCycle mlFeatures \
                 mlHyperParameters mlStore name owners server service sourceHash sourceUrl tags target",
        entity: "certification changeDescription dataContract deleted entityStatus followers fullyQualifiedName \
                 href id impersonatedBy incrementalChangeDescription serviceType updatedAt updatedBy usageSummary \
                 version votes",
    },
    Properties {
        path: "containers",
        create: "dataModel dataProducts description displayName domains extension fileFormats fullPath lifeCycle \
                 name numberOfObjects owners parent prefix service size sourceHash sourceUrl tags",
        entity: "certification changeDescription children dataContract deleted entityStatus followers \
                 fullyQualifiedName href id impersonatedBy incrementalChangeDescription retentionPeriod \
                 sampleData serviceType updatedAt updatedBy version votes",
    },
    Properties {
        path: "pipelines",
        create: "concurrency dataProducts description displayName domains extension lifeCycle name owners \
                 pipelineLocation scheduleInterval service sourceHash sourceUrl startDate state tags tasks",
        entity: "certification changeDescription dataContract deleted endDate entityStatus followers \
                 fullyQualifiedName href id impersonatedBy incrementalChangeDescription pipelineStatus \
                 serviceType updatedAt updatedBy usageSummary version votes",
    },
    Properties {
        path: "metrics",
        create: "assets customUnitOfMeasurement dataProducts description dimensions displayName domains extension \
                 filters granularity measures metricExpression metricType name owners provider relatedMetrics \
                 reviewers tags unitOfMeasurement",
        entity: "certification changeDescription dataContract deleted derivedFrom entityStatus followers \
                 fullyQualifiedName href id impersonatedBy incrementalChangeDescription updatedAt updatedBy \
                 version votes",
    },
    Properties {
        path: "apiCollections",
        create: "apiEndpoints dataProducts description displayName domains endpointURL extension lifeCycle name \
                 owners service sourceHash tags",
        entity: "certification changeDescription dataContract deleted entityStatus fullyQualifiedName href id \
                 impersonatedBy incrementalChangeDescription serviceType updatedAt updatedBy version votes",
    },
    Properties {
        path: "apiEndpoints",
        create: "apiCollection dataProducts description displayName domains endpointURL extension lifeCycle name \
                 owners requestMethod requestSchema responseSchema sourceHash sourceUrl tags",
        entity: "certification changeDescription dataContract deleted entityStatus followers fullyQualifiedName \
                 href id impersonatedBy incrementalChangeDescription service serviceType updatedAt updatedBy \
                 version votes",
    },
    Properties {
        path: "drives/directories",
        create: "dataProducts description directoryType displayName domains extension isShared lifeCycle name \
                 numberOfFiles numberOfSubDirectories owners parent path service sourceHash sourceUrl tags \
                 totalSize",
        entity: "certification changeDescription children dataContract deleted entityStatus followers \
                 fullyQualifiedName href id impersonatedBy incrementalChangeDescription serviceType updatedAt \
                 updatedBy usageSummary version votes",
    },
    Properties {
        path: "drives/files",
        create: "checksum columns dataProducts description directory displayName domains downloadLink extension \
                 fileExtension fileType fileVersion isShared lifeCycle mimeType name owners path service size \
                 sourceHash sourceUrl tags webViewLink",
        entity: "certification changeDescription createdTime dataContract deleted entityStatus followers \
                 fullyQualifiedName href id impersonatedBy incrementalChangeDescription lastModifiedBy \
                 modifiedTime sampleData serviceType updatedAt updatedBy usageSummary version votes",
    },
    Properties {
        path: "drives/spreadsheets",
        create: "createdTime dataProducts description displayName domains driveFileId extension fileVersion \
                 lifeCycle mimeType modifiedTime name owners parent path service size sourceHash sourceUrl tags",
        entity: "certification changeDescription dataContract deleted directory entityStatus followers \
                 fullyQualifiedName href id impersonatedBy incrementalChangeDescription lastModifiedBy \
                 serviceType updatedAt updatedBy usageSummary version votes worksheets",
    },
    Properties {
        path: "drives/worksheets",
        create: "columnCount columns dataProducts description displayName domains extension index isHidden \
                 lifeCycle name owners rowCount service sourceHash sourceUrl spreadsheet tags worksheetId",
        entity: "certification changeDescription dataContract deleted entityStatus followers fullyQualifiedName \
                 href id impersonatedBy incrementalChangeDescription sampleData serviceType updatedAt updatedBy \
                 usageSummary version votes",
    },
    Properties {
        path: "mcpServers",
        create: "capabilities connectionConfig dataAccessSummary dataProducts deploymentUrl description \
                 developmentStage displayName documentation domains extension governanceMetadata name owners \
                 prompts protocolVersion resources securityMetrics serverInfo serverType service sourceCode tags \
                 tools transportType",
        entity: "certification changeDescription deleted domain entityStatus followers fullyQualifiedName href id \
                 incrementalChangeDescription lifeCycle reviewers sourceHash updatedAt updatedBy usageMetrics \
                 usedByApplications version votes",
    },
    Properties {
        path: "classifications",
        create: "autoClassificationConfig description displayName domains mutuallyExclusive name owners provider \
                 reviewers",
        entity: "changeDescription deleted disabled entityStatus fullyQualifiedName href id impersonatedBy \
                 incrementalChangeDescription termCount updatedAt updatedBy usageCount version",
    },
    Properties {
        path: "tags",
        create: "associatedTags autoClassificationEnabled autoClassificationPriority classification description \
                 displayName domains mutuallyExclusive name owners parent provider recognizers reviewers style",
        entity: "changeDescription children dataContract dataProducts deleted deprecated disabled entityStatus \
                 fullyQualifiedName href id impersonatedBy incrementalChangeDescription updatedAt updatedBy \
                 usageCount version",
    },
    Properties {
        path: "glossaries",
        create: "description displayName domains extension mutuallyExclusive name owners provider reviewers tags",
        entity: "changeDescription dataContract dataProducts deleted disabled entityStatus fullyQualifiedName \
                 href id impersonatedBy incrementalChangeDescription namespaces termCount updatedAt updatedBy \
                 usageCount version votes",
    },
    Properties {
        path: "glossaryTerms",
        create: "conceptMappings description displayName domains extension glossary iri mutuallyExclusive name \
                 owners parent provider references relatedTerms reviewers style synonyms tags",
        entity: "changeDescription children childrenCount dataContract dataProducts deleted disabled entityStatus \
                 fullyQualifiedName href id impersonatedBy incrementalChangeDescription updatedAt updatedBy \
                 usageCount version votes",
    },
    Properties {
        path: "domains",
        create: "description displayName domainType experts extension fullyQualifiedName name owners parent style \
                 tags",
        entity: "assets certification changeDescription children childrenCount entityStatus followers href id \
                 impersonatedBy incrementalChangeDescription updatedAt updatedBy version votes",
    },
    Properties {
        path: "dataProducts",
        create: "assets dataProductType description displayName domains experts extension fullyQualifiedName name \
                 owners portfolioPriority reviewers style tags visibility",
        entity: "certification changeDescription consumesFrom entityStatus followers href id impersonatedBy \
                 incrementalChangeDescription inputPorts lifecycleStage outputPorts providesTo sla updatedAt \
                 updatedBy version votes",
    },
    Properties {
        path: "users",
        create: "authenticationMechanism botName confirmPassword createPasswordType defaultPersona description \
                 displayName domains email externalId isAdmin isBot name password personas profile roles \
                 scimUserName teams timezone",
        entity: "allowImpersonation changeDescription deleted follows fullyQualifiedName href id impersonatedBy \
                 incrementalChangeDescription inheritedPersonas inheritedRoles isEmailVerified lastActivityTime \
                 lastLoginTime owns personaPreferences updatedAt updatedBy version",
    },
    Properties {
        path: "teams",
        create: "children defaultPersona defaultRoles description displayName domains email externalId isJoinable \
                 name owners parents policies profile teamType users",
        entity: "changeDescription childrenCount deleted descendantTeams fullyQualifiedName href id \
                 impersonatedBy incrementalChangeDescription inheritedRoles owns updatedAt updatedBy userCount \
                 version",
    },
    Properties {
        path: "roles",
        create: "description displayName domains name policies",
        entity: "allowDelete allowEdit changeDescription deleted disabled fullyQualifiedName href id \
                 impersonatedBy incrementalChangeDescription provider teams updatedAt updatedBy users version",
    },
    Properties {
        path: "policies",
        create: "description displayName domains enabled location name owners rules",
        entity: "allowDelete allowEdit changeDescription deleted disabled fullyQualifiedName href id \
                 impersonatedBy incrementalChangeDescription provider roles teams updatedAt updatedBy version",
    },
    Properties {
        path: "personas",
        create: "contextDefinition default description displayName domains name users",
        entity: "changeDescription fullyQualifiedName href id impersonatedBy incrementalChangeDescription \
                 uiCustomization updatedAt updatedBy version",
    },
    Properties {
        path: "bots",
        create: "allowImpersonation botUser description displayName domains name provider",
        entity: "changeDescription deleted fullyQualifiedName href id impersonatedBy incrementalChangeDescription \
                 updatedAt updatedBy version",
    },
    Properties {
        path: "dataQuality/testSuites",
        create: "basicEntityReference dataContract description displayName domains executableEntityReference name \
                 owners reviewers tags",
        entity: "basic changeDescription connection deleted executable fullyQualifiedName href id \
                 incrementalChangeDescription ingestionRunner inherited pipelines serviceType summary \
                 testCaseResultSummary testConnectionResult tests updatedAt updatedBy version",
    },
    Properties {
        path: "dataQuality/testDefinitions",
        create: "dataQualityDimension description displayName domains entityType name owners parameterDefinition \
                 provider sqlExpression supportedDataTypes supportedServices testPlatforms validatorClass",
        entity: "changeDescription deleted enabled fullyQualifiedName href id incrementalChangeDescription \
                 supportsDynamicAssertion supportsRowLevelPassedFailed updatedAt updatedBy version",
    },
    Properties {
        path: "dataQuality/testCases",
        create: "computePassedFailedRowCount description dimensionColumns displayName entityLink name owners \
                 parameterValues reviewers tags testDefinition topDimensions useDynamicAssertion",
        entity: "autoCloseIncident changeDescription createdBy dataProducts deleted domains entityFQN \
                 entityStatus failedRowsSample followers fullyQualifiedName href id incidentId incidentStatus \
                 incrementalChangeDescription inspectionQuery testCaseResult testCaseStatus testSuite testSuites \
                 updatedAt updatedBy version",
    },
    Properties {
        path: "dataContracts",
        create: "description displayName effectiveFrom effectiveUntil entity entityStatus extension name \
                 odcsElementExtensions odcsQualityRules owners qualityExpectations reviewers schema security \
                 semantics sla sourceUrl termsOfUse",
        entity: "changeDescription contractUpdates createdAt createdBy deleted fullyQualifiedName href id \
                 impersonatedBy incrementalChangeDescription inherited latestResult testSuite updatedAt updatedBy \
                 version",
    },
];
