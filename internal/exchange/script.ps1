#requires -Version 3.0
<#
.SYNOPSIS
Sets up Exchange ActiveSync on this server for certificates of the portal, checks it, or undoes it.

.DESCRIPTION
Made by certportal for {{.Organization}}; it holds the CA certificates of this installation. Run it on every Exchange
server that phones reach, in an elevated Exchange Management Shell, for Exchange 2013, 2016, 2019 and Subscription Edition.
It changes the front end ("Default Web Site") only. What was set before the first change is kept in -StateFile.

.PARAMETER Check
Changes no setting, and reports each as right or wrong. The exit code is 1 when one is wrong. To fetch the revocation
lists as the machine it runs a scheduled task as SYSTEM for a moment, and removes it.

.PARAMETER Mode
Pilot accepts certificates beside passwords, so that no phone is locked out. Required accepts certificates only. Pilot
is also the way back from Required: it switches password sign-in on again where it was on before the first change.

.PARAMETER Undo
Puts back what was set before the first change. CA certificates stay published in Active Directory.

.PARAMETER PortalExport
CSV file of the portal's certificates (Administration, Export): lists the phones that -Mode Required would lock out,
before anything is changed, and asks.

.PARAMETER WithoutDirectory
Leaves the publication of the CA certificates in Active Directory to an enterprise administrator. What is not published
is still reported as wrong.

.PARAMETER WhatIf
Shows what would be changed, and changes nothing. The revocation lists are not tried.
#>
[CmdletBinding(SupportsShouldProcess = $true, ConfirmImpact = 'High', DefaultParameterSetName = 'Apply')]
param(
    [Parameter(ParameterSetName = 'Check', Mandatory = $true)] [switch] $Check,
    [Parameter(ParameterSetName = 'Undo', Mandatory = $true)] [switch] $Undo,
    [Parameter(ParameterSetName = 'Apply')] [Parameter(ParameterSetName = 'Check')]
    [ValidateSet('Pilot', 'Required')] [string] $Mode = 'Pilot',
    [Parameter(ParameterSetName = 'Apply')] [Parameter(ParameterSetName = 'Check')] [string] $PortalExport,
    [Parameter(ParameterSetName = 'Apply')] [Parameter(ParameterSetName = 'Check')] [switch] $WithoutDirectory,
    [string] $Server = $env:COMPUTERNAME,
    [string] $Site = 'Default Web Site',
    [string] $StateFile = (Join-Path $env:ProgramData 'certportal\exchange.json')
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

# This installation. Place says where a certificate belongs: RootCA, SubCA (between), or
# NTAuthCA, the CA that issues.
$Portal = {{.Portal}}
$Authorities = @(
{{- range .Authorities}}
    @{ Place = {{.Place}}; Name = {{.Name}}; Thumbprint = {{.Thumbprint}}; Data = {{.Data}} }
{{- end}}
)
$Lists = @({{range $i, $l := .Lists}}{{if $i}}, {{end}}{{$l}}{{end}})

$Apphost = 'MACHINE/WEBROOT/APPHOST'
$Folder = "$Site/Microsoft-Server-ActiveSync"
$Mapping = 'system.webServer/security/authentication/clientCertificateMappingAuthentication'
$Access = 'system.webServer/security/access'
$Runtime = 'system.webServer/serverRuntime'
$Appcmd = Join-Path $env:windir 'system32\inetsrv\appcmd.exe'
$Bindings = @('0.0.0.0:443', '127.0.0.1:443')
$BindingKey = 'HKLM:\SYSTEM\CurrentControlSet\Services\HTTP\Parameters\SslBindingInfo'
# Bits of DefaultFlags of a binding, and the option of netsh that sets each.
$FlagOptions = @{
    0x1 = 'dsmapperusage'; 0x2 = 'clientcertnegotiation'; 0x8 = 'reject'; 0x10 = 'disablehttp2'; 0x20 = 'disablequic'
    0x40 = 'disabletls13'; 0x80 = 'disableocspstapling'; 0x100 = 'enabletokenbinding'; 0x200 = 'logextendedevents'
    0x400 = 'disablelegacytls'; 0x800 = 'enablesessionticket'; 0x1000 = 'disabletls12'; 0x4000 = 'disablesessionid'
}
$OwnFolder = -not $PSBoundParameters.ContainsKey('StateFile')
$StateFile = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($StateFile)
$script:Wrong = 0
$script:Changed = $false

function Show-Result([string] $State, [string] $What, [string] $Text) {
    $color = @{ right = 'Green'; wrong = 'Red'; warning = 'Yellow'; changed = 'Cyan' }[$State]
    Write-Host ('{0,-8} {1}: {2}' -f $State, $What, $Text) -ForegroundColor $color
    if ($State -eq 'wrong') { $script:Wrong++ }
}

# Invoke-Program runs a program and stops when it fails.
function Invoke-Program([string] $Program, [string[]] $Arguments) {
    $output = & $Program @Arguments 2>&1 | Out-String
    if ($LASTEXITCODE -ne 0) { throw ('{0} {1} ended with {2}: {3}' -f $Program, ($Arguments -join ' '), $LASTEXITCODE, $output.Trim()) }
    return $output
}

# Resolve-Setting reports a setting, and sets it where that is wanted.
function Resolve-Setting([string] $What, [scriptblock] $Test, [string] $Want, [scriptblock] $Set) {
    $found = [string](& $Test)
    if ($found -eq $Want) {
        Show-Result 'right' $What $found
        return
    }
    if ($Check) {
        Show-Result 'wrong' $What ('is {0}, should be {1}' -f $found, $Want)
        return
    }
    if (-not $PSCmdlet.ShouldProcess($Server, ('{0}: change {1} to {2}' -f $What, $found, $Want))) {
        if (-not $WhatIfPreference) { Show-Result 'wrong' $What ('stays {0}, should be {1}' -f $found, $Want) }
        return
    }
    Save-State
    $script:Changed = $true
    & $Set
    $now = [string](& $Test)
    if ($now -ne $Want) {
        Show-Result 'wrong' $What ('is still {0} after the change, should be {1}' -f $now, $Want)
        return
    }
    Show-Result 'changed' $What ('{0}, was {1}' -f $now, $found)
}

# Assert-Right stops -Mode Required before a step that locks phones out while a setting is wrong.
function Assert-Right([string] $Text) {
    if ($Mode -eq 'Required' -and $script:Wrong -gt 0 -and -not $Check -and -not $WhatIfPreference) { throw $Text }
}

# Read-Value reads a value that may be missing.
function Read-Value($From, [string] $Name) {
    $property = $From.PSObject.Properties[$Name]
    if ($null -ne $property) { return $property.Value }
}

function Get-Setting([string] $Filter, [string] $Name, [string] $Location) {
    $arguments = @{ PSPath = $Apphost; Filter = $Filter; Name = $Name }
    if ($Location) { $arguments.Location = $Location }
    $value = Get-WebConfigurationProperty @arguments
    if ($null -ne $value -and $value.PSObject.Properties['Value']) { $value = $value.Value }
    return [string]$value
}

function Set-Setting([string] $Filter, [string] $Name, [string] $Value, [string] $Location) {
    $arguments = @('set', 'config')
    if ($Location) { $arguments += "$Location/" }
    $arguments += @("-section:$Filter", "/${Name}:$Value", '/commit:apphost')
    Invoke-Program $Appcmd $arguments | Out-Null
}

# Format-Flag puts flags into one order, so that they compare.
function Format-Flag([string] $Flags) {
    return (($Flags -split ',' | ForEach-Object { $_.Trim() } | Where-Object { $_ -and $_ -notin 'None', '0' } | Sort-Object) -join ',')
}

function Get-Folder {
    return Get-ActiveSyncVirtualDirectory -Identity "$Server\Microsoft-Server-ActiveSync ($Site)" -ErrorAction Stop
}

function Set-Folder([hashtable] $Values) {
    Set-ActiveSyncVirtualDirectory -Identity "$Server\Microsoft-Server-ActiveSync ($Site)" @Values -Confirm:$false -ErrorAction Stop
}

function Get-SignIn {
    $directory = Get-Folder
    return 'Basic {0}, Windows {1}' -f [bool]$directory.BasicAuthEnabled, [bool]$directory.WindowsAuthEnabled
}

# Get-Binding reads all that HTTP.sys keeps about an address, in any language of Windows: byte
# arrays as hex, the AppId, which may be text or 16 bytes, as a GUID in braces.
function Get-Binding([string] $Address) {
    if (-not (Test-Path -LiteralPath "$BindingKey\$Address")) { return $null }
    $key = Get-Item -LiteralPath "$BindingKey\$Address"
    $values = @{}
    foreach ($name in $key.GetValueNames()) {
        $value = $key.GetValue($name)
        if ($name -eq 'AppId') {
            $guid = if ($value -is [byte[]]) { New-Object Guid (, $value) } else { $value -as [guid] }
            $value = if ($null -ne $guid) { $guid.ToString('B') }
        }
        if ($value -is [byte[]]) { $value = ($value | ForEach-Object { '{0:x2}' -f $_ }) -join '' }
        if ($name) { $values[$name] = $value }
    }
    $key.Close()
    return New-Object PSObject -Property $values
}

# Get-Arguments says how netsh adds a binding with these values, and throws when it cannot.
function Get-Arguments([string] $Address, $Binding) {
    $flags = [int](Read-Value $Binding 'DefaultFlags')
    $checks = [int](Read-Value $Binding 'DefaultSslCertCheckMode') # 1 no revocation, 2 cached only, 4 freshness, 0x10000 no usage
    $hash = Read-Value $Binding 'SslCertHash'
    $application = Read-Value $Binding 'AppId'
    $store = Read-Value $Binding 'SslCertStoreName'
    if (-not $store) { $store = 'MY' }
    $word = @{ $true = 'enable'; $false = 'disable' }
    $arguments = @('http', 'add', 'sslcert', "ipport=$Address", "certhash=$hash", "appid=$application", "certstorename=$store",
        "verifyclientcertrevocation=$($word[($checks -band 1) -eq 0])",
        "verifyrevocationwithcachedclientcertonly=$($word[($checks -band 2) -ne 0])",
        "usagecheck=$($word[($checks -band 0x10000) -eq 0])")
    $freshness = [int](Read-Value $Binding 'DefaultSslRevocationFreshnessTime')
    if ($freshness -ne 0 -or ($checks -band 4) -ne 0) { $arguments += "revocationfreshnesstime=$freshness" }
    $timeout = [int](Read-Value $Binding 'DefaultSslRevocationUrlRetrievalTimeout')
    if ($timeout -ne 0) { $arguments += "urlretrievaltimeout=$timeout" }
    foreach ($name in 'SslCtlIdentifier', 'SslCtlStoreName') {
        $value = Read-Value $Binding $name
        if (-not $value) { $value = Read-Value $Binding "Default$name" }
        if ($value) { $arguments += "$($name.ToLowerInvariant())=$value" }
    }
    # An option is named only where its bit is set: netsh of an older Windows does not know them all.
    $unknown = $flags
    foreach ($bit in ($FlagOptions.Keys | Sort-Object)) {
        if (($flags -band $bit) -eq 0) { continue }
        $arguments += "$($FlagOptions[$bit])=enable"
        if ($NetshHelp -match "$($FlagOptions[$bit])=") { $unknown = $unknown -bxor $bit }
    }
    if ($unknown -ne 0 -or ($checks -band (-bnot 0x10007)) -ne 0 -or -not $hash -or -not $application) {
        throw ("The binding of {0} has settings that this script cannot keep with netsh (DefaultFlags 0x{1:x}, check mode 0x{2:x}). " +
            "Set it by hand: note 'netsh http show sslcert ipport={0}', then 'netsh http delete sslcert ipport={0}' and 'netsh {3}', " +
            'with what the note says besides.') -f $Address, $flags, $checks, ($arguments -join ' ')
    }
    return $arguments
}

# Test-Same says whether two bindings have the same values.
function Test-Same($One, $Other) {
    foreach ($name in (@($One.PSObject.Properties) + @($Other.PSObject.Properties) | ForEach-Object { $_.Name })) {
        if ([string](Read-Value $One $name) -ne [string](Read-Value $Other $name)) { return $false }
    }
    return $true
}

# Set-Binding puts a binding with these values in the place of the one that is there, which
# comes back when netsh refuses the new one.
function Set-Binding([string] $Address, $Wanted) {
    $current = Get-Binding $Address
    if ($null -ne $current -and (Test-Same $current $Wanted)) { return }
    $new = Get-Arguments $Address $Wanted
    if ($null -eq $current) {
        Invoke-Program 'netsh.exe' $new | Out-Null
    } else {
        $old = Get-Arguments $Address $current
        Invoke-Program 'netsh.exe' @('http', 'delete', 'sslcert', "ipport=$Address") | Out-Null
        try {
            Invoke-Program 'netsh.exe' $new | Out-Null
        } catch {
            Show-Result 'warning' $Address "netsh refuses the new binding, the old one is put back: $($_.Exception.Message)"
            Invoke-Program 'netsh.exe' $old | Out-Null
            throw
        }
    }
    $now = Get-Binding $Address
    $differ = $null -eq $now -or ((Get-Arguments $Address $now) -join ' ') -ne ($new -join ' ')
    if ($differ) { Show-Result 'wrong' $Address "the binding is not as it was added with: netsh $($new -join ' ')" }
    foreach ($property in @($Wanted.PSObject.Properties)) {
        if ($null -ne $now -and $null -eq $now.PSObject.Properties[$property.Name] -and $property.Value) {
            Show-Result 'warning' $Address ('the binding has lost {0}, which was {1}' -f $property.Name, $property.Value)
        }
    }
}

# Protect-Path leaves a file or folder to Administrators and SYSTEM.
function Protect-Path([string] $Path, [string] $Inherit) {
    Invoke-Program 'icacls.exe' @($Path, '/setowner', '*S-1-5-32-544') | Out-Null
    Invoke-Program 'icacls.exe' @($Path, '/inheritance:r', '/grant:r', "*S-1-5-32-544:${Inherit}F", "*S-1-5-18:${Inherit}F") | Out-Null
}

# Assert-Owned stops at a file or folder that another user may have put there.
function Assert-Owned([string] $Path) {
    $owner = (Get-Acl -LiteralPath $Path).GetOwner([Security.Principal.SecurityIdentifier]).Value
    $link = ((Get-Item -LiteralPath $Path -Force).Attributes -band [IO.FileAttributes]::ReparsePoint) -ne 0
    if ($link -or $owner -notin 'S-1-5-32-544', 'S-1-5-18') {
        throw "$Path is a link or belongs to $owner, not to Administrators or SYSTEM: it may be forged. Look at it, and remove it."
    }
}

function Get-State {
    $directory = Get-Folder
    $kept = @{}
    foreach ($address in $Bindings) {
        $binding = Get-Binding $address
        if ($null -ne $binding) { $kept[$address] = $binding }
    }
    return @{
        Server = $Server; Site = $Site; Saved = (Get-Date).ToUniversalTime().ToString('s') + 'Z'
        Feature = [bool](Get-WindowsFeature Web-Client-Auth).Installed
        ServerMapping = Get-Setting $Mapping 'enabled'; FolderMapping = Get-Setting $Mapping 'enabled' $Folder
        SslFlags = Format-Flag (Get-Setting $Access 'sslFlags' $Folder); ReadAhead = Get-Setting $Runtime 'uploadReadAheadSize' $Folder
        Basic = [bool]$directory.BasicAuthEnabled; Windows = [bool]$directory.WindowsAuthEnabled; ClientCert = [string]$directory.ClientCertAuth
        Bindings = $kept
    }
}

# Read-State reads what was set before the first change: nothing when nothing was changed.
function Read-State {
    if ($OwnFolder -and (Test-Path -LiteralPath (Split-Path -Parent $StateFile))) { Assert-Owned (Split-Path -Parent $StateFile) }
    if (-not (Test-Path -LiteralPath $StateFile)) { return $null }
    Assert-Owned $StateFile
    $state = Get-Content -LiteralPath $StateFile -Raw -Encoding UTF8 | ConvertFrom-Json
    if ($state.Server -ne $Server -or $state.Site -ne $Site) { throw "$StateFile belongs to $($state.Server), $($state.Site)." }
    return $state
}

# Save-State keeps what was set before the first change. A file that is there stays.
function Save-State {
    if ($null -ne (Read-State)) { return }
    $json = Get-State | ConvertTo-Json -Depth 5
    $parent = Split-Path -Parent $StateFile
    if ($OwnFolder -and -not (Test-Path -LiteralPath $parent)) {
        New-Item -ItemType Directory -Path $parent -Confirm:$false | Out-Null
        Protect-Path $parent '(OI)(CI)'
    }
    New-Item -ItemType File -Path $StateFile -Confirm:$false | Out-Null # fails when it is there
    Protect-Path $StateFile
    Set-Content -LiteralPath $StateFile -Value $json -Encoding UTF8 -Confirm:$false
    Write-Host "What was set before is in $StateFile."
}

function Restore-State {
    $state = Read-State
    if ($null -eq $state) { throw "$StateFile is not there: this script has changed nothing on this server, or another -StateFile was given." }
    if (-not $PSCmdlet.ShouldProcess($Server, "put back the settings from before $($state.Saved)")) { return }
    $script:Changed = $true
    Set-Folder @{ BasicAuthEnabled = $state.Basic; WindowsAuthEnabled = $state.Windows; ClientCertAuth = $state.ClientCert }
    Set-Setting $Mapping 'enabled' $state.FolderMapping $Folder
    Set-Setting $Access 'sslFlags' $(if ($state.SslFlags) { $state.SslFlags } else { 'None' }) $Folder
    Set-Setting $Runtime 'uploadReadAheadSize' $state.ReadAhead $Folder
    Set-Setting $Mapping 'enabled' $state.ServerMapping
    foreach ($saved in $state.Bindings.PSObject.Properties) {
        $wanted = $saved.Value
        $current = Get-Binding $saved.Name
        if ($null -ne $current) {
            # Exchange may have got another certificate since: that one stays.
            foreach ($name in 'SslCertHash', 'SslCertStoreName') {
                $wanted | Add-Member -NotePropertyName $name -NotePropertyValue ([string](Read-Value $current $name)) -Force
            }
        }
        Set-Binding $saved.Name $wanted
    }
    $now = Get-State
    foreach ($name in 'Basic', 'Windows', 'ClientCert', 'ServerMapping', 'FolderMapping', 'SslFlags', 'ReadAhead') {
        $before = [string]$state.$name
        if ([string]$now[$name] -eq $before) { Show-Result 'right' $name $before } else { Show-Result 'wrong' $name ('is {0}, was {1} before' -f $now[$name], $before) }
    }
    if ($script:Wrong -gt 0) { throw "Not everything is as before. Set what is wrong by hand, or run -Undo again: $StateFile stays." }
    if (-not $state.Feature) { Write-Host 'The feature Web-Client-Auth stays installed; Uninstall-WindowsFeature Web-Client-Auth removes it.' }
    Move-Item -LiteralPath $StateFile -Destination "$StateFile.undone" -Force -Confirm:$false
    Write-Host 'The settings from before are back. The CA certificates stay published in Active Directory:'
    Write-Host 'an enterprise administrator removes them with "certutil -viewdelstore" (see docs/exchange.md).'
}

# Test-Published says where a certificate is missing on this server: the computer's copy of the
# directory's store, which group policy refreshes within eight hours.
function Test-Published($Authority) {
    $store = @{ NTAuthCA = 'HKLM:\SOFTWARE\Microsoft\EnterpriseCertificates\NTAuth\Certificates'
        RootCA = 'HKLM:\SOFTWARE\Microsoft\EnterpriseCertificates\Root\Certificates'
        SubCA = 'HKLM:\SOFTWARE\Microsoft\EnterpriseCertificates\CA\Certificates' }[$Authority.Place]
    if (Test-Path -LiteralPath (Join-Path $store $Authority.Thumbprint)) { return 'published' }
    return 'not published'
}

function Publish-Authority($Authority) {
    $file = Join-Path $env:TEMP ('certportal-{0}.cer' -f $Authority.Thumbprint)
    [System.IO.File]::WriteAllBytes($file, [System.Convert]::FromBase64String($Authority.Data))
    try {
        Invoke-Program 'certutil.exe' @('-dspublish', '-f', $file, $Authority.Place) | Out-Null
        if ($Authority.Place -eq 'NTAuthCA') { Invoke-Program 'certutil.exe' @('-dspublish', '-f', $file, 'SubCA') | Out-Null }
        Invoke-Program 'certutil.exe' @('-pulse') | Out-Null
        for ($i = 0; $i -lt 30 -and (Test-Published $Authority) -ne 'published'; $i++) { Start-Sleep -Seconds 2 }
    } finally {
        Remove-Item -LiteralPath $file -Confirm:$false
    }
}

# Test-List fetches a revocation list as the machine does, without a person's proxy password, in a
# scheduled task. A list begins with byte 0x30; a proxy's page does not.
function Test-List([string] $Address) {
    $result = Join-Path $env:ProgramData ('certportal-{0}.txt' -f [guid]::NewGuid())
    $command = 'try { $r = Invoke-WebRequest -UseBasicParsing -MaximumRedirection 0 -TimeoutSec 20 -Uri ''' + ($Address -replace "['\u2018-\u201b]", '$0$0') + '''; ' +
        '$b = $r.RawContentStream.ToArray(); ' +
        'if ($r.StatusCode -eq 200 -and $b.Length -gt 0 -and $b[0] -eq 0x30) { "fetched " + $b.Length + " bytes" } ' +
        'else { "status " + [int]$r.StatusCode + ", " + $r.Headers["Content-Type"] + ": this is something else, such as the page of a proxy" } } catch { $_.Exception.Message }'
    $encoded = [Convert]::ToBase64String([Text.Encoding]::Unicode.GetBytes("& { $command } | Set-Content -Encoding UTF8 -LiteralPath '$($result -replace "'", "''")'"))
    $name = 'certportal list check {0}' -f [guid]::NewGuid()
    $action = New-ScheduledTaskAction -Execute 'powershell.exe' -Argument "-NoProfile -NonInteractive -EncodedCommand $encoded"
    $principal = New-ScheduledTaskPrincipal -UserId 'S-1-5-18' -LogonType ServiceAccount
    try {
        Register-ScheduledTask -TaskName $name -Action $action -Principal $principal | Out-Null
        Start-ScheduledTask -TaskName $name
        for ($i = 0; $i -lt 30; $i++) {
            Start-Sleep -Seconds 1
            if ((Test-Path -LiteralPath $result) -and (Get-ScheduledTask -TaskName $name).State -ne 'Running') { break }
        }
        if (-not (Test-Path -LiteralPath $result)) { return 'no answer within 30 seconds' }
        return ([string](Get-Content -LiteralPath $result -Raw)).Trim()
    } finally {
        Unregister-ScheduledTask -TaskName $name -Confirm:$false -ErrorAction SilentlyContinue
        Remove-Item -LiteralPath $result -ErrorAction SilentlyContinue -WhatIf:$false -Confirm:$false
    }
}

# Show-Warning reports what this script leaves alone.
function Show-Warning {
    foreach ($name in 'Autodiscover', 'EWS', 'OAB', 'mapi', 'owa', 'ecp', 'Rpc', 'PowerShell') {
        $flags = Get-Setting $Access 'sslFlags' "$Site/$name"
        if ($flags -match 'Cert') { Show-Result 'warning' $name "asks for client certificates too ($flags): Outlook and browsers there then need one" }
    }
    $token = Get-Setting 'system.webServer/security/authentication/windowsAuthentication/extendedProtection' 'tokenChecking' $Folder
    if ($token -eq 'Require') { Show-Result 'warning' 'Extended Protection' 'is required for ActiveSync: a load balancer that ends TLS breaks it' }
    foreach ($address in $Bindings) {
        if ($null -eq (Get-Binding $address)) { Show-Result 'warning' $address 'has no certificate binding: Exchange usually has both' }
    }
}

# Show-LockedOut lists, and counts, phones whose owner has no working certificate in the portal's export.
function Show-LockedOut {
    $known = @{}
    foreach ($row in Import-Csv -LiteralPath $PortalExport -Encoding UTF8) { if ($row.status -in 'downloaded', 'works', 'endssoon') { $known[$row.upn.ToLowerInvariant()] = $true } }
    if ($known.Count -eq 0) { throw "$PortalExport names no working certificate: export the certificates of the portal, all of them." }
    $left = 0
    foreach ($mailbox in Get-CASMailbox -ResultSize Unlimited -Filter 'HasActiveSyncDevicePartnership -eq $true' -ErrorAction Stop) {
        if ($mailbox.Name -like 'CAS_{*') { continue }
        $upn = [string](Get-User -Identity $mailbox.DistinguishedName -ErrorAction Stop).UserPrincipalName
        if ($known[$upn.ToLowerInvariant()]) { continue }
        foreach ($phone in Get-MobileDevice -Mailbox $mailbox.DistinguishedName -ErrorAction Stop) {
            $left++
            Show-Result 'warning' 'would be locked out' ('{0}, {1}' -f $upn, $phone.FriendlyName)
        }
    }
    Write-Host "$left phones would be locked out by -Mode Required."
    return $left
}

if (-not ([Security.Principal.WindowsPrincipal][Security.Principal.WindowsIdentity]::GetCurrent()).IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
    throw 'Run this in an elevated Exchange Management Shell (Run as administrator).'
}
if (-not (Get-Command Set-ActiveSyncVirtualDirectory -ErrorAction SilentlyContinue)) {
    throw 'The Exchange cmdlets are missing: run this in the Exchange Management Shell, on the Exchange server.'
}
Import-Module WebAdministration
$Newer = [Environment]::OSVersion.Version.Build -ge 20348 # Server 2022 and later speak TLS 1.3
$NetshHelp = & netsh.exe http add sslcert '?' | Out-String
Write-Host "certportal $Portal, $Server, $Site"

# Set-Server makes the changes: first all that locks no phone out, the passwords last.
function Set-Server {
    $required = $Mode -eq 'Required'
    $phones = 0
    if ($PortalExport) { $phones = Show-LockedOut } elseif ($required) { Show-Result 'warning' 'phones' 'give -PortalExport to see which would be locked out' }
    if ($required -and $phones -gt 0 -and -not $Check -and -not $PSCmdlet.ShouldProcess("$phones phones", 'lock out') -and -not $WhatIfPreference) {
        Write-Host 'Nothing was changed.'
        return
    }
    foreach ($authority in $Authorities) {
        $what = '{0} in {1}' -f $authority.Name, $authority.Place
        if ($WithoutDirectory -and (Test-Published $authority) -ne 'published') {
            Show-Result 'wrong' $what 'is not published: an enterprise administrator has to, see docs/exchange.md'
            continue
        }
        Resolve-Setting $what { Test-Published $authority } 'published' { Publish-Authority $authority }
    }
    foreach ($address in $Lists) {
        if ($WhatIfPreference) { Show-Result 'warning' $address 'not tried'; continue }
        $answer = Test-List $address
        if ($answer -like 'fetched *') { Show-Result 'right' $address $answer } else { Show-Result 'wrong' $address "the machine gets no revocation list: $answer" }
    }
    Assert-Right 'Nothing else was changed: without the CA certificates and the revocation lists Exchange would refuse every phone.'
    Resolve-Setting 'feature Web-Client-Auth' { (Get-WindowsFeature Web-Client-Auth).Installed } 'True' { Install-WindowsFeature Web-Client-Auth | Out-Null }
    Resolve-Setting 'mapping, server' { Get-Setting $Mapping 'enabled' } 'True' { Set-Setting $Mapping 'enabled' 'True' }
    Resolve-Setting 'mapping, ActiveSync' { Get-Setting $Mapping 'enabled' $Folder } 'True' { Set-Setting $Mapping 'enabled' 'True' $Folder }
    Resolve-Setting 'uploadReadAheadSize, at least 49152' { [int64](Get-Setting $Runtime 'uploadReadAheadSize' $Folder) -ge 49152 } 'True' { Set-Setting $Runtime 'uploadReadAheadSize' '49152' $Folder }
    # Without TLS 1.3 and HTTP/2 the server can ask for the certificate after the handshake.
    $bits = if ($Newer) { 1 + 16 + 64 } else { 1 }
    foreach ($address in $Bindings) {
        if ($null -eq (Get-Binding $address)) { continue }
        Resolve-Setting "binding $address" { ([int](Read-Value (Get-Binding $address) 'DefaultFlags') -band $bits) -eq $bits } 'True' {
            $wanted = Get-Binding $address
            $wanted | Add-Member -NotePropertyName DefaultFlags -NotePropertyValue ([int](Read-Value $wanted 'DefaultFlags') -bor $bits) -Force
            Set-Binding $address $wanted
        }
    }
    Show-Warning
    Assert-Right 'Passwords still work, and certificates are not required yet: mend what is wrong first, then run this again.'
    $flags = if ($required) { 'Ssl,SslNegotiateCert,SslRequireCert' } else { 'Ssl,SslNegotiateCert' }
    Resolve-Setting 'sslFlags' { Format-Flag (((Get-Setting $Access 'sslFlags' $Folder) -replace 'Ssl128', '')) } $flags { Set-Setting $Access 'sslFlags' $flags $Folder }
    $asks = if ($required) { 'Required' } else { 'Allowed' }
    Resolve-Setting 'ClientCertAuth' { (Get-Folder).ClientCertAuth } $asks { Set-Folder @{ ClientCertAuth = $asks } }
    Assert-Right 'Passwords stay on: mend what is wrong first, or go back with -Mode Pilot.'
    if ($required) {
        Resolve-Setting 'password sign-in' { Get-SignIn } 'Basic False, Windows False' { Set-Folder @{ BasicAuthEnabled = $false; WindowsAuthEnabled = $false } }
    } else {
        # What was on before the first change, or is on now.
        $before = Read-State
        $directory = Get-Folder
        $basic = [bool]$directory.BasicAuthEnabled -or ($null -ne $before -and $before.Basic)
        $windows = [bool]$directory.WindowsAuthEnabled -or ($null -ne $before -and $before.Windows)
        Resolve-Setting 'password sign-in' { Get-SignIn } "Basic $basic, Windows $windows" { Set-Folder @{ BasicAuthEnabled = $basic; WindowsAuthEnabled = $windows } }
        if (-not $basic) { Show-Result 'warning' 'password sign-in' 'Basic is off, and nothing says that it was on before: phones with a password may be locked out' }
    }
    # Set-ActiveSyncVirtualDirectory can switch the mapping off again.
    Resolve-Setting 'mapping, ActiveSync, once more' { Get-Setting $Mapping 'enabled' $Folder } 'True' { Set-Setting $Mapping 'enabled' 'True' $Folder }
}

try {
    if ($Undo) { Restore-State } else { Set-Server }
} catch {
    if ($script:Changed) { Write-Host 'Some settings were changed before this failed: run iisreset, which they need.' -ForegroundColor Yellow }
    throw
}

if ($script:Changed -and $PSCmdlet.ShouldProcess($Server, 'restart IIS')) { Invoke-Program 'iisreset.exe' @('/noforce') | Write-Host }
if ($Check) {
    Write-Host "$($script:Wrong) settings are wrong."
    if ($script:Wrong -gt 0) { exit 1 }
}
