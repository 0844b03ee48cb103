"""Every sentence of the guests' pages, Korean and English, and the choice between the two."""

import json
from collections.abc import Sequence
from typing import Any

from flask import Request

LANGUAGES = ("ko", "en")
COOKIE = "demo_lang"

TEXTS: dict[str, tuple[str, str]] = {
    # everywhere
    "test_data": (
        "시연 화면입니다. 사람, 번호, 증명서는 모두 지어낸 시험 데이터이며 실제 기관의 서비스가 아닙니다.",
        "This is a demonstration. Every person, number and certificate is invented; no real service is here.",
    ),
    "other_language": ("English", "한국어"),
    "skip": ("본문으로 건너뛰기", "Skip to content"),
    "home": ("시연 첫 화면", "Demonstration home"),
    "not_found_title": ("이 주소에는 화면이 없습니다", "There is no page at this address"),
    "not_found_lead": ("시연 첫 화면에서 다시 시작해 주세요.", "Please begin again on the first page."),
    "cannot_open_title": ("이 화면은 열 수 없습니다", "This page cannot be opened"),
    # start page
    "start_title": ("신원 시연", "Sinwon demonstration"),
    "start_lead": (
        "모바일 신분증으로 포털에 로그인하고 영사 창구를 이용해 보세요.",
        "Sign in to portals, and be served at a consular counter, by showing a mobile credential.",
    ),
    "start_how": (
        "포털을 고르고 로그인을 누르면 신원 로그인 화면이 열립니다. 휴대전화가 없어도 됩니다. "
        "시연용 지갑이 웹 페이지로 함께 있습니다.",
        "Choose a portal and press sign in; the Sinwon sign-in page opens. You need no phone: "
        "a wallet for the demonstration comes as a web page.",
    ),
    "portals": ("포털", "Portals"),
    "wallet": ("시연용 지갑", "Demonstration wallet"),
    "wallet_lead": (
        "지어낸 사람 열세 명의 모바일 신분증이 들어 있습니다. 다른 브라우저에서 열면 ‘다른 기기’가 됩니다.",
        "Holds the mobile IDs of thirteen invented people. Open it in another browser for the “other device”.",
    ),
    "open_wallet": ("지갑 열기", "Open the wallet"),
    # portals
    "portal_lead": (
        "이 시연 포털은 실제 {name} 서비스가 아닙니다.",
        "This demonstration portal is not the real {name} service.",
    ),
    "sign_in": ("모바일 신분증으로 로그인", "Sign in with mobile ID"),
    "takes": ("받는 모바일 신분증", "Mobile IDs it takes"),
    "asks_for": ("로그인하면 요청하는 정보", "What it asks for when you sign in"),
    "required": ("필수", "required"),
    "optional": ("선택", "optional"),
    "by_statute": ("법령 근거", "by statute"),
    "secure_only": (
        "PIN과 얼굴 인증을 모두 거친 증명서만 받습니다.",
        "Accepts only a certificate that was unlocked with PIN and face.",
    ),
    "signed_out": ("로그아웃했습니다.", "You are signed out."),
    "welcome": ("{name} 님, 로그인했습니다.", "Signed in as {name}."),
    "welcome_nameless": ("로그인했습니다.", "You are signed in."),
    "verified_title": ("확인된 정보", "Verified information"),
    "item": ("항목", "Item"),
    "value": ("값", "Value"),
    "how_verified": ("확인 방법", "How it was verified"),
    "card_shown": ("보인 카드", "Card shown"),
    "issued_by": ("발급기관", "Issued by"),
    "technical": ("기술 정보: ID 토큰", "Technical details: ID token"),
    "technical_userinfo": ("기술 정보: UserInfo", "Technical details: UserInfo"),
    "sign_out": ("로그아웃", "Sign out"),
    "trust_framework": ("신뢰 체계", "Trust framework"),
    "assurance_level": ("보증 수준", "Assurance level"),
    "time": ("확인 시각", "Verified at"),
    "acr": ("인증 수준 (acr)", "Authentication level (acr)"),
    "amr": ("인증 수단 (amr)", "Means of authentication (amr)"),
    "sub": ("이 포털만의 식별자 (sub)", "Identifier for this portal alone (sub)"),
    "level_secure": ("안전 (PIN + 얼굴)", "secure (PIN + face)"),
    "level_general": ("일반", "general"),
    "nothing_released": ("전달된 정보가 없습니다.", "No information was released."),
    "failed_title": ("로그인하지 못했습니다", "You are not signed in"),
    "failed_try": ("다시 로그인", "Try again"),
    "error_code": ("오류 코드", "Error code"),
    "error_access_denied": (
        "로그인이 취소되었거나 증명서를 확인하지 못했습니다. 이 포털에는 아무 정보도 전달되지 않았습니다.",
        "The sign-in was cancelled, or the certificate could not be accepted. "
        "This portal has received nothing.",
    ),
    "error_unmet_authentication_requirements": (
        "이 포털은 PIN과 얼굴 인증을 모두 거친 증명서가 필요합니다.",
        "This portal needs a certificate that was unlocked with both PIN and face.",
    ),
    "error_login_required": (
        "로그인이 필요합니다.",
        "You need to sign in.",
    ),
    "error_consent_required": ("동의가 필요합니다.", "Your consent is needed."),
    "error_temporarily_unavailable": (
        "지금은 로그인할 수 없습니다. 잠시 뒤에 다시 시도해 주세요.",
        "Signing in is not possible right now. Please try again in a moment.",
    ),
    "error_server_error": (
        "로그인 서비스에서 오류가 났습니다. 잠시 뒤에 다시 시도해 주세요.",
        "The sign-in service had a problem. Please try again in a moment.",
    ),
    "error_provider_unreachable": (
        "신원 로그인 서비스에 연결할 수 없습니다.",
        "The Sinwon sign-in service cannot be reached.",
    ),
    "error_unknown_state": (
        "이 브라우저에서 시작한 로그인이 아니거나 시간이 지났습니다. 처음부터 다시 로그인해 주세요.",
        "This sign-in was not started in this browser, or it took too long. Please start again.",
    ),
    "error_other": (
        "로그인 응답을 확인하지 못해 로그인하지 않았습니다.",
        "The answer of the sign-in service did not check out, so you were not signed in.",
    ),
    "connection": ("연결 방식", "How it is connected"),
    # counter
    "counter_tile": (
        "담당자 화면: 방문자가 휴대전화로 본인을 확인합니다",
        "The officer’s screen: visitors identify themselves with their phones",
    ),
    "counter_lead": (
        "담당자 화면입니다. 방문자는 자기 휴대전화로 로그인하고, 담당자는 사진과 얼굴을 대조합니다.",
        "This is the officer’s screen. Visitors sign in on their own phones; the officer compares photo and face.",
    ),
    "counter_step_call": (
        "업무를 고르고 ‘다음 방문자’를 누릅니다.",
        "Choose the matter and press “Next visitor”.",
    ),
    "counter_step_scan": (
        "방문자가 QR 코드를 찍거나 주소를 열어 코드를 확인하고 증명서를 보입니다.",
        "The visitor scans the QR code, or opens the address, checks the code and shows a certificate.",
    ),
    "counter_step_compare": (
        "화면에 나온 사진과 방문자의 얼굴을 대조하고 마칩니다. 정보는 바로 지워집니다.",
        "Compare the photo on the screen with the visitor’s face and finish. The data is deleted at once.",
    ),
    "visitors": ("방문자", "Visitors"),
    "nobody_waits": ("기다리는 방문자가 없습니다.", "Nobody is waiting."),
    "matter": ("업무", "Matter"),
    "matter_passport": ("여권", "Passport"),
    "matter_notary": ("공증", "Notarial act"),
    "matter_family": ("가족관계 증명", "Family relations certificate"),
    "matter_registration": ("재외국민 등록", "Overseas registration"),
    "call_visitor": ("다음 방문자", "Next visitor"),
    "ticket_number": ("{number}번 방문자", "Visitor {number}"),
    "ticket_news": ("{number}번 방문자: {state}.", "Visitor {number}: {state}."),
    "state_waiting": ("기다리는 중", "waiting"),
    "state_confirmed": ("대조할 차례", "compare now"),
    "state_denied": ("거절됨", "refused"),
    "state_expired": ("시간 지남", "timed out"),
    "state_failed": ("오류", "problem"),
    "state_finished": ("완료", "done"),
    "state_mismatch": ("본인 아님", "not the holder"),
    "state_cleared": ("지워짐", "deleted"),
    "left": ("남음", "left"),
    "qr_alt": (
        "방문자가 휴대전화로 찍을 QR 코드. 같은 주소와 코드가 옆에 글로 있습니다.",
        "QR code for the visitor’s phone. The same address and code stand beside it as text.",
    ),
    "scan_or_open": (
        "휴대전화로 QR 코드를 찍거나 이 주소를 여세요.",
        "Scan the QR code with your phone, or open this address.",
    ),
    "code_to_type": ("코드", "Code"),
    "code_must_match": (
        "휴대전화에 나온 코드가 이 코드와 같을 때만 진행하세요.",
        "Go on only when your phone shows this same code.",
    ),
    "screen_changes": (
        "방문자가 마치면 화면이 바뀝니다.",
        "This screen changes when the visitor is done.",
    ),
    "reload": ("새로 고침", "Reload"),
    "compare_faces": (
        "사진과 방문자의 얼굴을 대조해 주세요.",
        "Compare the photo with the visitor’s face.",
    ),
    "photo_alt": ("증명서의 사진", "Photo from the certificate"),
    "no_photo": ("사진이 전달되지 않았습니다.", "No photo was released."),
    "faces_match": ("본인이 맞음, 완료", "Same person: finish"),
    "faces_differ": ("본인이 아님", "Not the same person"),
    "gone_in": ("이 정보가 지워질 때까지", "This information is deleted in"),
    "cancel_ticket": ("취소하고 지우기", "Cancel and delete"),
    "drop_person": ("판단 없이 지우기", "Delete without deciding"),
    "clear_ticket": ("목록에서 지우기", "Remove from the list"),
    "outcome_denied": (
        "방문자가 거절했습니다. 아무 정보도 전달되지 않았습니다.",
        "The visitor refused. Nothing was released.",
    ),
    "outcome_expired": (
        "시간 안에 확인하지 않아 코드가 끝났습니다. 방문자를 다시 불러 주세요.",
        "The code ran out before anything was confirmed. Please call the visitor again.",
    ),
    "outcome_failed": (
        "확인하지 못했습니다. 방문자를 다시 불러 주세요.",
        "It could not be confirmed. Please call the visitor again.",
    ),
    "outcome_finished": (
        "본인 확인을 마쳤습니다. 방문자의 정보는 지워졌습니다.",
        "The visitor was identified. The visitor’s data is deleted.",
    ),
    "outcome_mismatch": (
        "사진과 얼굴이 달라 마쳤습니다. 방문자의 정보는 지워졌습니다.",
        "Ended, since photo and face differ. The visitor’s data is deleted.",
    ),
    "outcome_cleared": (
        "확인했으나 5분이 지나 방문자의 정보를 지웠습니다.",
        "Confirmed, but the visitor’s data was deleted after five minutes.",
    ),
    "no_code_title": ("코드를 받지 못했습니다", "No code could be had"),
    "back_to_counter": ("창구 화면으로", "To the counter"),
    # wallet
    "wallet_title": ("시연용 지갑", "Demonstration wallet"),
    "people": ("지갑 속 사람들", "People in this wallet"),
    "scan_title": ("QR 코드의 링크 붙여 넣기", "Paste the link of a QR code"),
    "scan_help": (
        "로그인 화면의 QR 코드는 링크입니다. 그 링크를 이 칸에 붙여 넣으면 휴대전화로 찍은 것과 같습니다.",
        "The QR code on a sign-in page is a link. Pasting it here is the same as scanning it with a phone.",
    ),
    "scan_field": ("링크", "Link"),
    "scan_button": ("열기", "Open"),
    "asks_title": ("{verifier}에서 증명서를 요청합니다", "{verifier} asks for your certificate"),
    "for_portal": ("이용할 서비스", "Service"),
    "purposes": ("이용 목적", "Purposes"),
    "verifier": ("요청하는 곳", "Who asks"),
    "goes_to": ("보내는 주소", "Sent to"),
    "certified": ("인증서로 확인됨", "confirmed by its certificate"),
    "asked_items": ("보여 줄 정보", "What you would show"),
    "always_shown_sd_jwt": (
        "이 카드는 발급기관, 발급일과 만료일, 잠금 해제 방식을 늘 함께 보입니다.",
        "With it this card always shows who issued it, from when to when it is valid and how it is unlocked.",
    ),
    "always_shown_mdoc": (
        "이 카드는 발급기관, 발급일과 만료일을 늘 함께 보입니다.",
        "With it this card always shows who issued it and from when to when it is valid.",
    ),
    "cards": ("가지고 있는 카드", "Cards"),
    "who": ("누구의 어떤 카드를 보여 줄까요?", "Whose card, and which?"),
    "testing": ("시험용", "For testing"),
    "fault": ("일부러 틀리기", "Make a mistake on purpose"),
    "show": ("보이기", "Show"),
    "refuse": ("거절", "Refuse"),
    "no_match": ("요청에 맞는 카드가 없습니다.", "No card of theirs matches the request."),
    "refused_title": ("이 요청에는 응답하지 않습니다", "This request is not answered"),
    "refused_lead": (
        "지갑이 요청을 검사했고 규칙에 맞지 않아 아무것도 보내지 않았습니다.",
        "The wallet checked the request, found that it breaks a rule, and sent nothing.",
    ),
    "reason": ("이유", "Reason"),
    "sent_title": ("보냈습니다", "Sent"),
    "sent_lead": ("로그인을 시작한 화면으로 돌아가세요.", "Go back to the page where you began."),
    "declined_title": ("거절했습니다", "Refused"),
    "declined_lead": ("아무 정보도 보내지 않았습니다.", "Nothing about you was sent."),
    "rejected_title": ("받아들여지지 않았습니다", "Not accepted"),
    "rejected_lead": (
        "요청한 곳에서 이 증명서를 받아들이지 않았습니다.",
        "The certificate was not accepted by the service that asked for it.",
    ),
    "silent_title": ("응답하지 않았습니다", "No answer was sent"),
    "silent_lead": (
        "이 사람의 지갑은 응답하지 않습니다. 로그인 화면은 시간이 지나면 끝납니다.",
        "This person’s wallet does not answer. The sign-in page will run out of time.",
    ),
    "again_title": ("이 화면은 더 쓸 수 없습니다", "This page can no longer be used"),
    "again_lead": (
        "QR 코드를 다시 찍거나 링크를 다시 열어 주세요.",
        "Scan the QR code again, or open the link again.",
    ),
    "cannot_title": ("보내지 못했습니다", "Could not be sent"),
    "cannot_lead": (
        "맞는 증명서가 없거나 요청한 곳에 연결할 수 없습니다.",
        "There is no matching certificate, or the service that asked cannot be reached.",
    ),
    "back_to_wallet": ("지갑으로", "To the wallet"),
    # the Open DID wallet
    "open_did_title": ("시연용 Open DID 지갑", "Demonstration Open DID wallet"),
    "open_did_lead": (
        "같은 사람들의 증명서를 Open DID로 들고 있는 또 하나의 지갑입니다.",
        "Another wallet, which holds the same people’s certificates as Open DID credentials.",
    ),
    "open_open_did": ("Open DID 지갑 열기", "Open the Open DID wallet"),
    "open_did_people": ("지갑 속 사람들", "People in this wallet"),
    "open_did_scan_title": ("QR 코드의 내용 붙여 넣기", "Paste what a QR code holds"),
    "open_did_scan_help": (
        "로그인 화면의 QR 코드에 든 글이나 그 링크를 이 칸에 붙여 넣으면 휴대전화로 찍은 것과 같습니다.",
        "Pasting the text in the QR code of a sign-in page, or its link, is the same as scanning it with a phone.",
    ),
    "open_did_scan_field": ("QR 코드의 내용이나 링크", "Contents of the code, or link"),
    "open_did_number": (
        "이 숫자를 로그인을 시작한 화면에 입력하게 됩니다.",
        "You will be asked for this number where you started signing in.",
    ),
    "open_did_sent_lead": (
        "로그인을 시작한 화면으로 돌아가 요청에 있던 네 자리 숫자를 입력하세요.",
        "Go back to the page where you began and type the four digits that came with the request.",
    ),
    "open_did_declined_lead": (
        "아무 정보도 보내지 않았습니다. 이 방식의 지갑은 거절했다고 알리지 않으므로, 로그인 화면에서 취소해 주세요.",
        "Nothing about you was sent. Wallets of this kind do not tell that you refused: cancel on the sign-in page.",
    ),
    # the national app, simulated
    "mobileid_title": ("모바일신분증 앱 시뮬레이터", "National mobile ID app, simulated"),
    "mobileid_lead": (
        "모바일신분증 앱의 메시지를 흉내 낸 시연 화면입니다. 실제 앱이 아니며 실제 신분증은 쓸 수 없습니다.",
        "This page speaks the messages of the national mobile ID app. It is not that app, and takes no real card.",
    ),
    "mobileid_tile": (
        "로그인 화면에서 이 앱을 고르면 모바일신분증의 메시지로 증명서를 제출합니다.",
        "Choose it on the sign-in page, and the certificate goes by the messages of the national app.",
    ),
    "open_mobileid": ("시뮬레이터 열기", "Open the simulator"),
    "console_title": ("관리 콘솔", "Console for administrators"),
    "console_tile": (
        "포털 등록, 기관, 감사 기록을 관리합니다. 처음에는 터미널에 표시된 초대 링크로 들어가십시오.",
        "Portals, organisations and the audit. The first time come in by the invitation that the terminal shows.",
    ),
    "open_console": ("콘솔 열기", "Open the console"),
    "mobileid_people": ("이 앱에 든 사람들", "People in this app"),
    "mobileid_scan_title": ("QR 코드 내용 붙여 넣기", "Paste the content of a QR code"),
    "mobileid_scan_help": (
        "로그인 화면의 QR 코드에는 링크가 아니라 요청 메시지가 들어 있습니다. 붙여 넣으면 찍은 것과 같습니다.",
        "The QR code on the sign-in page holds a message, not a link. Pasting it here is the same as scanning it.",
    ),
    "mobileid_scan_field": ("QR 코드 내용 또는 링크", "Content of the code, or a link"),
    "mobileid_unlock": ("인증 방식", "How you unlock it"),
    "mobileid_unlock_general": ("PIN (일반인증)", "PIN (general)"),
    "mobileid_unlock_secure": ("PIN과 얼굴 (안심인증)", "PIN and face (secure)"),
    "mobileid_submit": ("동의하고 제출", "Agree and submit"),
    "mobileid_cancel": ("취소", "Cancel"),
    "submitted_title": ("제출했습니다", "Submitted"),
    "submitted_lead": (
        "로그인을 시작한 화면으로 돌아가 아래 번호의 마지막 네 자리를 입력하세요.",
        "Go back to the page where you began and type the last four characters of this number.",
    ),
    "back_to_mobileid": ("시뮬레이터로", "To the simulator"),
    # faults
    "fault_": ("없음 (바르게 응답)", "None (answer properly)"),
    "fault_wrong_nonce": ("잘못된 nonce", "Wrong nonce"),
    "fault_wrong_audience": ("잘못된 수신자 (aud)", "Wrong audience"),
    "fault_wrong_sd_hash": ("잘못된 sd_hash (SD-JWT VC)", "Wrong sd_hash (SD-JWT VC)"),
    "fault_other_holder_key": ("다른 소지자 키로 서명", "Signed with another holder key"),
    "fault_tampered_signature": ("변조된 발급자 서명", "Tampered issuer signature"),
    "fault_unknown_issuer": ("모르는 발급자", "Unknown issuer"),
    "fault_expired": ("기간이 지난 증명서", "Expired certificate"),
    "fault_revoked": ("폐기된 증명서", "Revoked certificate"),
    "fault_suspended": ("정지된 증명서", "Suspended certificate"),
    "fault_unreferenced_disclosure": ("근거 없는 공개 항목 추가", "Unreferenced disclosure"),
    "fault_repeated_disclosure": ("공개 항목 중복", "Repeated disclosure"),
    "fault_wrong_transcript": ("잘못된 세션 기록 (mdoc)", "Wrong session transcript (mdoc)"),
    "fault_wrong_doctype": ("다른 문서 종류 (mdoc)", "Another document type (mdoc)"),
    "fault_altered_element": ("변조된 항목 (mdoc)", "Altered element (mdoc)"),
    "fault_device_mac": ("서명 대신 MAC (mdoc)", "MAC instead of a signature (mdoc)"),
    "format": ("카드 형식", "Format of the card"),
    "format_": ("지갑이 고름", "Any"),
    "format_dc+sd-jwt": ("SD-JWT VC", "SD-JWT VC"),
    "format_mso_mdoc": ("mdoc", "mdoc"),
    "fault_unencrypted": ("암호화하지 않은 응답", "Unencrypted response"),
    "fault_wrong_format": ("요청과 다른 카드 형식", "Card in another format than the answer says"),
    "fault_decline": ("소지자가 거절", "The holder declines"),
    "fault_no_answer": ("응답 없음", "No answer"),
    "fault_stolen": ("다른 사람의 증명서 제시", "Somebody else’s certificate"),
    "fault_tampered_claim": ("변조된 항목", "Tampered claim"),
    "fault_other_registry": ("다른 등록소의 DID", "A DID of another registry"),
    "fault_no_key_agreement_proof": ("키 합의에 서명하지 않음", "Key agreement not signed"),
}

# OpenID Connect claim names and, where they differ, the credential's element names.
CLAIMS: dict[str, tuple[str, str]] = {
    "name": ("이름", "Name"),
    "name#ko-Hang-KR": ("이름 (한글)", "Name (Korean)"),
    "name#en": ("이름 (영문)", "Name (English)"),
    "family_name": ("영문 성", "Family name in English"),
    "given_name": ("영문 이름", "Given name in English"),
    "birthdate": ("생년월일", "Date of birth"),
    "gender": ("성별", "Sex"),
    "sex": ("성별", "Sex"),
    "nationalities": ("국적", "Nationality"),
    "address": ("주소", "Address"),
    "address.formatted": ("주소", "Address"),
    "kr_mission": ("관할 공관", "Mission in charge"),
    "issuing_mission": ("관할 공관", "Mission in charge"),
    "issuing_mission.code": ("관할 공관 부호", "Mission code"),
    "issuing_mission.name_ko": ("관할 공관 (한글)", "Mission (Korean)"),
    "issuing_mission.name_en": ("관할 공관 (영문)", "Mission (English)"),
    "kr_overseas_registration_number": ("재외국민등록번호", "Overseas registration number"),
    "overseas_registration_number": ("재외국민등록번호", "Overseas registration number"),
    "kr_passport": ("여권 정보", "Passport"),
    "passport": ("여권 정보", "Passport"),
    "passport.number": ("여권번호", "Passport number"),
    "number": ("번호", "Number"),
    "type": ("종류", "Type"),
    "issuing_country": ("발급국", "Issuing country"),
    "issuing_authority": ("발급기관", "Issuing authority"),
    "issue_date": ("발급일", "Date of issue"),
    "expiry_date": ("기간만료일", "Date of expiry"),
    "picture": ("사진", "Photo"),
    "kr_ci": ("연계정보 (CI)", "Linking information (CI)"),
    "age_over_14": ("만 14세 이상", "14 or older"),
    "age_over_19": ("만 19세 이상", "19 or older"),
    "license_number": ("운전면허번호", "Driving licence number"),
    "civil_servant_number": ("공무원증 번호", "Civil servant number"),
    "veteran_number": ("보훈번호", "Veteran number"),
    "user_authentication": ("잠금 해제 방식", "How the card is unlocked"),
    # as mdocs call them
    "name_ko": ("이름", "Name"),
    "birth_date": ("생년월일", "Date of birth"),
    "nationality": ("국적", "Nationality"),
    "resident_address": ("주소", "Address"),
    "portrait": ("사진", "Photo"),
    "document_number": ("운전면허번호", "Driving licence number"),
    "ci": ("연계정보 (CI)", "Linking information (CI)"),
    "mission_code": ("관할 공관 부호", "Mission code"),
    "mission_name_ko": ("관할 공관 (한글)", "Mission (Korean)"),
    "mission_name_en": ("관할 공관 (영문)", "Mission (English)"),
    "travel_document_number": ("여권번호", "Passport number"),
    "travel_document_type": ("여권 정보 · 종류", "Passport · Type"),
    "travel_document_issuing_country": ("여권 정보 · 발급국", "Passport · Issuing country"),
    "travel_document_issuing_authority": ("여권 정보 · 발급기관", "Passport · Issuing authority"),
    "travel_document_issue_date": ("여권 정보 · 발급일", "Passport · Date of issue"),
    "travel_document_expiry_date": ("여권 정보 · 기간만료일", "Passport · Date of expiry"),
    "age_equal_or_over.14": ("만 14세 이상", "14 or older"),
    "age_equal_or_over.19": ("만 19세 이상", "19 or older"),
    # as the national app names them
    "mip.name": ("성명", "Name"),
    "mip.usrname": ("영문 성", "Family name in English"),
    "mip.givennames": ("영문 이름", "Given name in English"),
    "mip.birth": ("생년월일", "Date of birth"),
    "mip.sex": ("성별", "Sex"),
    "mip.nationality": ("국적", "Nationality"),
    "mip.address": ("주소", "Address"),
    "mip.emblnm": ("관할 공관", "Mission in charge"),
    "mip.expatno": ("재외국민등록번호", "Overseas registration number"),
    "mip.passportno": ("여권번호", "Passport number"),
    "mip.passporttype": ("여권 종류", "Type of passport"),
    "mip.countrycode": ("발행국", "Issuing country"),
    "mip.authority": ("발행관청", "Issuing authority"),
    "mip.issude": ("발급일", "Date of issue"),
    "mip.expirdate": ("기간만료일", "Date of expiry"),
    "mip.dlphotoimage": ("사진", "Photo"),
    "mip.ci": ("연계정보 (CI)", "Linking information (CI)"),
}

_YES, _NO = ("예", "Yes"), ("아니요", "No")
_SEXES = {"male": ("남", "Male"), "1": ("남", "Male"), "female": ("여", "Female"), "2": ("여", "Female")}
# RFC 8176
_MEANS = {"hwk": ("기기에 든 키", "key in the device"), "pin": ("PIN", "PIN"), "face": ("얼굴", "face")}


def choose(request: Request) -> str:
    """The page's language: `?lang=`, the cookie, Accept-Language; who reads other languages reads English."""
    for wish in (request.values.get("lang"), request.cookies.get(COOKIE)):
        if wish in LANGUAGES:
            return wish
    neither = "en" if request.accept_languages else "ko"
    return request.accept_languages.best_match(LANGUAGES, neither) or neither


def text(key: str, language: str, **values: str) -> str:
    """The sentence in that language. Raises KeyError for an unknown key."""
    return TEXTS[key][LANGUAGES.index(language)].format(**values)


def of(names: dict[str, str], language: str) -> str:
    """One of `{ko = ..., en = ...}`."""
    return names.get(language) or names.get("en") or names.get("ko") or ""


def error(code: str, language: str) -> str:
    """What an error code means for the person at the portal."""
    key = f"error_{code}"
    return text(key if key in TEXTS else "error_other", language)


def claim(name: str, language: str) -> str:
    """The label of a claim; an unknown name stands for itself."""
    label = CLAIMS.get(name)
    return label[LANGUAGES.index(language)] if label else name


def place(path: Sequence[str | int | None], language: str) -> str:
    """The label of a place in a credential: its own, or those of the steps that lead there.

    A namespace of an mdoc, which is a name with dots, says nothing to people.
    """
    steps = [step for step in path if isinstance(step, str) and "." not in step]
    if ".".join(steps) in CLAIMS:
        return claim(".".join(steps), language)
    return " · ".join(claim(step, language) for step in steps)


def value(name: str, shown: Any, language: str) -> str:
    """A claim's value as people read it."""
    index = LANGUAGES.index(language)
    if isinstance(shown, bool):
        return (_YES if shown else _NO)[index]
    if name in ("gender", "sex"):
        return _SEXES.get(str(shown), (str(shown),) * 2)[index]
    if name == "user_authentication" and isinstance(shown, str):
        return _MEANS.get(shown, (shown, shown))[index]
    if isinstance(shown, list):
        return ", ".join(value(name, item, language) for item in shown)
    if isinstance(shown, dict):
        if "formatted" in shown:
            return str(shown["formatted"])
        if "code" in shown and f"name_{language}" in shown:
            return f"{shown[f'name_{language}']} ({shown['code']})"
        # A JSON object has no order; people read the number first.
        places = list(CLAIMS)
        order = sorted(shown, key=lambda key: places.index(key) if key in CLAIMS else len(places))
        return "\n".join(f"{claim(key, language)}: {shown[key]}" for key in order)
    return str(shown)


def pretty(document: Any) -> str:
    """JSON to read."""
    return json.dumps(document, ensure_ascii=False, indent=2)
