package exchange

import "certportal/internal/powershell"

// MailboxCommand is a line for the Exchange Management Shell about the phones of a mailbox.
type MailboxCommand struct {
	Name string // list, block, wipe or undo
	Line string
}

// DeviceIDPlace stands in a line for the id that Exchange has of a phone, which the portal
// does not know.
const DeviceIDPlace = "DEVICE-ID"

// Mailbox gives what an administrator can do about the mail on a phone that was lost: list
// the phones of the mailbox, block one, remove the mailbox from it and nothing else, and undo
// the block. The portal runs none of it.
func Mailbox(upn string) []MailboxCommand {
	box, id := powershell.Quote(upn), powershell.Quote(DeviceIDPlace)
	return []MailboxCommand{
		{"list", "Get-MobileDevice -Mailbox " + box + " | Format-List FriendlyName, DeviceType, DeviceOS, FirstSyncTime, DeviceId"},
		{"block", "Set-CASMailbox -Identity " + box + " -ActiveSyncBlockedDeviceIDs @{Add = " + id + "}"},
		{"wipe", "Get-MobileDevice -Mailbox " + box + " | Where-Object { $_.DeviceId -eq " + id + " } | Clear-MobileDevice -AccountOnly"},
		{"undo", "Set-CASMailbox -Identity " + box + " -ActiveSyncBlockedDeviceIDs @{Remove = " + id + "}"},
	}
}
