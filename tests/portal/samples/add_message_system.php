<?php
CModule::IncludeModule('im');
$ar = array(
	"TO_CHAT_ID" => 21441,
	"FROM_USER_ID" => 0,
	"SYSTEM" => Y,
	"MESSAGE" => "Системное сообщение",
);
echo json_encode(['message' => CIMChat::AddMessage($ar)]);
