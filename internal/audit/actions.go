package audit

// Actions lists all actions in the order of their declaration.
func Actions() []Action {
	return []Action{
		SignedIn, SignInRefused, SignedOut, HandoffMade, HandoffRedeemed, HandoffBurnt, EnrolmentRefused,
		CertificateReserved, CertificateIssued, CertificateRevoked, CertificateSuperseded, CertificateRestored,
		CertificateWorks, CertificateRecalled, UpstreamWaits, UpstreamEnded, UpstreamCollected, UpstreamRevoked, UpstreamTested, UpstreamNotRevoked, MismatchFound, MismatchResolved, UPNReused, WatchStopped, WatchResumed, DeviceRemoved,
		DeviceBlocked, DeviceRenamed, DeviceTrouble, RequestRejected, AccessRefused, PickupRead, FileRefused, PickupWiped, ChallengeMade,
		ChallengeRead, InvitationMade, InvitationApproved, InvitationRedeemed, InvitationEnded, InvitationRefused,
		InvitationPaused, PersonRead, AccountAdded, AccountRemoved, AccountEnabled, AccountDisabled, AccountPassword,
		CACreated, CARequested, CAImported, CAAdded, CAScheduled, CAActivated, CARetired, CampaignEnded, CARevoked, BulkMade, BulkConfirmed, BulkApproved, BulkDropped, BulkLapsed, BulkDone, IssuingHalted,
		IssuingResumed, ChecksRun, CRLRequested, TestIssued, RecordsExported, RecordsReplayed, RootKeyExported, CACopied, CAReceived,
		LogExported, LogBroken, MailFailed, MailResent, TLSOrdered, BackupMade, BackupWritten, BackupRestored, DatabaseMoved, DatabaseReopened,
	}
}

// Refuses reports whether entries of the action record that something was refused, and
// so nothing done. A person can cause any number of them.
func (a Action) Refuses() bool {
	switch a {
	case SignInRefused, EnrolmentRefused, RequestRejected, AccessRefused, InvitationRefused, FileRefused:
		return true
	}
	return false
}
