<?php
CModule::IncludeModule('im');
$ar = array(
	"TO_CHAT_ID" => 21441,
	"FROM_USER_ID" => 6,
	"MESSAGE" => "Привет, чат & <все>",
);
echo json_encode(['message' => CIMChat::AddMessage($ar)]);
