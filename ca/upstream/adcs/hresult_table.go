package adcs

import "slices"

// Explanations lists the codes that requests to AD CS meet (winerror.h, MS-ERREF section
// 2.1.1), by number.
func Explanations() []Explanation {
	return slices.Concat(explainSystem(), explainRevocation(), explainCA(), explainTemplateNames(), explainTemplate(), explainChain())
}

// explainSystem holds codes of Windows and of the way from the web service to the CA.
func explainSystem() []Explanation {
	return []Explanation{
		{0x80070005, "E_ACCESSDENIED", RefusedPortal, "the CA or its web service denied access to the portal's account",
			"Give the account the right to request certificates on the CA (tab Security), and the account of the web service the network logon right there."},
		{0x80070057, "E_INVALIDARG", Refused, "the CA could not use a part of the request",
			"Check that the address is that of the enrolment web service of this CA, and that the template's common name is used, not its display name."},
		{0x800706ba, "RPC_S_SERVER_UNAVAILABLE", Interrupted, "the web service does not reach the CA",
			"Start the service CertSvc on the CA and open port 135 and the dynamic range from the web server to it."},
		{0x800706be, "RPC_S_CALL_FAILED", Interrupted, "the connection between web service and CA broke during the request",
			"Look for the request in the console of the CA before another attempt."},
		{0x80080005, "CO_E_SERVER_EXEC_FAILURE", Interrupted, "the web service could not start a call to the CA",
			"Look into the event log of the CA and restart its service CertSvc."},
	}
}

// explainRevocation holds codes about the revocation of certificates, mostly of the
// enrolment agent's.
func explainRevocation() []Explanation {
	return []Explanation{
		{0x80092010, "CRYPT_E_REVOKED", RefusedPortal, "a certificate that signed the request is revoked",
			"Find out why the enrolment agent's certificate was revoked before you give the portal another one."},
		{0x80092012, "CRYPT_E_NO_REVOCATION_CHECK", RefusedPortal, "the CA could not check the revocation of a certificate",
			"Publish the CRLs where the certificates name them, and fetch them on the CA with certutil -verify -urlfetch."},
		{0x80092013, "CRYPT_E_REVOCATION_OFFLINE", RefusedPortal, "the CA cannot read a CRL, often its own",
			"Publish a new list with certutil -CRL on the CA that is named in the event log, and check the addresses with pkiview.msc."},
	}
}

// explainCA holds codes of the CA itself.
func explainCA() []Explanation {
	return []Explanation{
		{0x80094001, "CERTSRV_E_BAD_REQUESTSUBJECT", Refused, "the subject of the request is missing or too long",
			"Let the template build the subject from Active Directory, or shorten the name that the portal sends."},
		{0x80094002, "CERTSRV_E_NO_REQUEST", Unanswered, "the CA has no request with this number",
			"Check that the portal asks the CA that took the request, and whether its database was restored."},
		{0x80094003, "CERTSRV_E_BAD_REQUESTSTATUS", Unanswered, "the request is in a state that this question does not fit",
			"Look at the request in the console of the CA."},
		{0x80094004, "CERTSRV_E_PROPERTY_EMPTY", Unanswered, "the CA has nothing to give for this number",
			"Look at the request in the console of the CA; its number may be unknown there."},
		{0x80094009, "CERTSRV_E_RESTRICTEDOFFICER", Refused, "the CA restricts the portal's account, and this person or template is outside of that",
			"If the person should have a certificate, add them to the group on the CA's tab Enrollment Agents; otherwise the restriction works as it should."},
		{0x80094011, "CERTSRV_E_ENROLL_DENIED", RefusedPortal, "the CA's permissions do not let the portal's account request certificates",
			"Give the account the right Request Certificates on the CA's tab Security."},
		{0x80094012, "CERTSRV_E_TEMPLATE_DENIED", Refused, "the permissions on the template do not let this requester enrol",
			"Give the person's group, and the portal's account, the rights Read and Enroll on the template's tab Security."},
		{0x80094014, "CERTSRV_E_ADMIN_DENIED_REQUEST", Refused, "an administrator of the CA denied the request",
			"Ask the CA's officers for the reason."},
	}
}

// explainTemplateNames holds codes about the name of the template and its contents.
func explainTemplateNames() []Explanation {
	return []Explanation{
		{0x80094800, "CERTSRV_E_UNSUPPORTED_CERT_TYPE", RefusedPortal, "this CA does not issue the template",
			"Publish it: in the console of the CA, Certificate Templates, New, Certificate Template to Issue; and use its common name, not its display name."},
		{0x80094801, "CERTSRV_E_NO_CERT_TYPE", RefusedPortal, "the request names no template",
			"Set the template's common name in the portal."},
		{0x80094802, "CERTSRV_E_TEMPLATE_CONFLICT", RefusedPortal, "the request names two different templates",
			"Set the same template in the profile and for this CA."},
		{0x80094803, "CERTSRV_E_SUBJECT_ALT_NAME_REQUIRED", Refused, "the template wants a subject alternative name that Active Directory does not give",
			"Set the attributes of the account that the template's tab Subject Name asks for."},
	}
}

// explainTemplate holds codes of the policy module.
func explainTemplate() []Explanation {
	return []Explanation{
		{0x80094806, "CERTSRV_E_BAD_RENEWAL_SUBJECT", Refused, "the request is for another person than its signer, and the template does not require an agent's signature",
			"In the template, tab Issuance Requirements, require one authorized signature with the application policy Certificate Request Agent."},
		{0x80094808, "CERTSRV_E_TEMPLATE_POLICY_REQUIRED", RefusedPortal, "the template requires a signature without saying which policy the signer needs",
			"In the template, tab Issuance Requirements, choose the application policy Certificate Request Agent."},
		{0x80094809, "CERTSRV_E_SIGNATURE_POLICY_REQUIRED", RefusedPortal, "the agent's certificate lacks the application policy that the template asks for",
			"Issue it from the template Enrollment Agent, and ask for Certificate Request Agent in the template's tab Issuance Requirements."},
		{0x8009480a, "CERTSRV_E_SIGNATURE_COUNT", RefusedPortal, "the template requires a signature that the request does not have",
			"Give the portal an enrolment agent certificate, and let the template require exactly one signature."},
		{0x8009480b, "CERTSRV_E_SIGNATURE_REJECTED", RefusedPortal, "the CA rejects the signature of the enrolment agent",
			"Check that the agent's certificate is valid, not revoked, and of a CA in NTAuthCertificates."},
		{0x8009480c, "CERTSRV_E_ISSUANCE_POLICY_REQUIRED", RefusedPortal, "the agent's certificate lacks an issuance policy that the template asks for",
			"Remove the issuance policy from the template's tab Issuance Requirements, or issue the agent's certificate with it."},
		{0x8009480d, "CERTSRV_E_SUBJECT_UPN_REQUIRED", Refused, "the person has no user principal name in Active Directory",
			"Set userPrincipalName of the account; the CA may read another domain controller, so wait for replication."},
		{0x8009480f, "CERTSRV_E_SUBJECT_DNS_REQUIRED", Refused, "the template wants a DNS name, which people do not have",
			"Use a template for users: clear DNS name on its tab Subject Name."},
		{0x80094811, "CERTSRV_E_KEY_LENGTH", Refused, "the key is shorter than the template's minimum",
			"Make the portal's keys as long as the template's tab Cryptography asks for, or lower that."},
		{0x80094812, "CERTSRV_E_SUBJECT_EMAIL_REQUIRED", Refused, "the person has no e-mail address in Active Directory, and the template wants one",
			"Set the attribute mail of the account, or clear the e-mail boxes on the template's tab Subject Name."},
		{0x80094816, "CERTSRV_E_RENEWAL_BAD_PUBLIC_KEY", Refused, "the key of a renewal is not that of the old certificate",
			"Request a new certificate instead of a renewal."},
	}
}

// explainChain holds codes about the chain of certificates, mostly of the enrolment
// agent's.
func explainChain() []Explanation {
	return []Explanation{
		{0x800b0101, "CERT_E_EXPIRED", RefusedPortal, "a certificate that signed the request, or one above it, is expired",
			"Renew the enrolment agent's certificate, and check the clock of the CA."},
		{0x800b0109, "CERT_E_UNTRUSTEDROOT", RefusedPortal, "the CA does not trust the root of a certificate that signed the request",
			"Use an enrolment agent certificate of this forest, from a CA that is in NTAuthCertificates."},
		{0x800b010a, "CERT_E_CHAINING", RefusedPortal, "the CA cannot build the chain of a certificate that signed the request",
			"Publish the intermediate CA with certutil -dspublish, or give the portal the chain of the agent's certificate."},
		{0x800b0110, "CERT_E_WRONG_USAGE", RefusedPortal, "a certificate that signed the request is not meant for that",
			"Issue the enrolment agent's certificate from the template Enrollment Agent."},
		{0x800b0112, "CERT_E_UNTRUSTEDCA", RefusedPortal, "the issuer of the agent's certificate may not issue for logons",
			"Add the issuing CA to NTAuthCertificates with certutil -dspublish -f issuer.cer NTAuthCA."},
	}
}
