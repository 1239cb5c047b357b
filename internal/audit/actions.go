package audit

// Actions lists every action there is, in the order in which they are declared.
func Actions() []Action {
	return []Action{
		SignedIn, SignInRefused, SignedOut, HandoffMade, HandoffRedeemed, HandoffBurnt, EnrolmentRefused,
		CertificateReserved, CertificateIssued, CertificateRevoked, CertificateSuperseded, CertificateRestored,
		CertificateRecalled, CertificateMarked, CertificateUnmarked, WatchStopped, WatchResumed, DeviceRemoved,
		DeviceBlocked, DeviceRenamed, RequestRejected, AccessRefused, PickupRead, PickupWiped, ChallengeMade,
		ChallengeRead, InvitationMade, InvitationApproved, InvitationRedeemed, InvitationEnded, InvitationRefused,
		InvitationPaused, PersonRead, AccountAdded, AccountRemoved, AccountEnabled, AccountDisabled, AccountPassword,
		CACreated, OrderMade, OrderConfirmed, OrderApproved, OrderDropped, OrderLapsed, OrderDone, IssuingHalted,
		IssuingResumed, ChecksRun, ListOrdered, AuthorityTested, RecordsExported, RecordsReplayed, RootKeyExported,
		LedgerExported, LedgerBroken, MailFailed,
	}
}
