package certsrv

import (
	"fmt"

	"certportal/internal/test/standin/adcs"
)

// words are those of the pages, in one language.
type words struct{ title, issued, pending, number, days, denied, failed, waiting string }

func (c *CA) words() words {
	switch c.Language() {
	case "de":
		return words{
			"Microsoft Active Directory-Zertifikatdienste", "Zertifikat wurde ausgestellt", "Ausstehendes Zertifikat", "Ihre Anforderungs-ID lautet %s.",
			"Kehren Sie mit diesem Browser innerhalb von 10 Tagen zurück.", "Die Zertifikatanforderung wurde verweigert", "Fehler", "In Bearbeitung",
		}
	case "fr":
		return words{
			"Services de certificats Microsoft Active Directory", "Certificat émis", "Certificat en attente", "L’ID de votre demande est %s.",
			"Revenez avec ce navigateur dans les 10 jours.", "Demande de certificat refusée", "Erreur", "Reçu en vue d’une révision",
		}
	}
	return words{
		"Microsoft Active Directory Certificate Services", "Certificate Issued", "Certificate Pending", "Your Request Id is %s.",
		"Return with this browser within 10 days.", "Certificate Request Denied", "Error", "Taken Under Submission",
	}
}

// layout is in the manner of the pages: unclosed elements, ids without quotes, a script with
// constants that look like errors.
func (w words) layout(body string) string {
	return "<HTML><Head><Title>" + w.title + "</Title><Script Language=\"JavaScript\">\r\nvar XENROLL_E=0x80095001;\r\n</Script></Head>" +
		"<Body BgColor=#FFFFFF><Table><TR><TD ID=locMSCertSrv>" + w.title + "</TD></TR></Table>" + body
}

func (c *CA) issued(got adcs.Result) string {
	w := c.words()
	return w.layout("<P ID=locPageTitle><B>" + w.issued + "</B><P ID=locInfo2>" +
		"<A Href=\"certnew.cer?ReqID=" + got.ID + "&amp;Enc=bin\">DER</A><A Href=\"certnew.p7b?ReqID=" + got.ID + "&amp;Enc=bin\">P7B</A>")
}

func (c *CA) pending(got adcs.Result) string {
	w := c.words()
	return w.layout("<P ID=locPageTitle><B>" + w.pending + "</B><P ID=locInfo1>" + fmt.Sprintf(w.number, got.ID) +
		"<P ID=locTimeWarning>" + w.days)
}

func (c *CA) denied(got adcs.Result) string {
	w := c.words()
	return w.layout("<P ID=locDenied><B>" + w.denied + "</B><P ID=locInfoReqIDAndReason>" + fmt.Sprintf(w.number, got.ID) +
		" &quot;" + c.Words(got.Code).Denied + "&quot;<P ID=locInfo3>0x80004005")
}

func (c *CA) failed(got adcs.Result) string {
	w := c.words()
	return w.layout(fmt.Sprintf("<P ID=locPageTitle><B>%s</B><P>%s (0x%x (%d))", w.failed, w.failed, got.Code, int32(got.Code)))
}

func (c *CA) waiting() string {
	w := c.words()
	return w.layout("<P ID=locPageTitle><B>" + w.failed + "</B><P>" + w.waiting)
}
