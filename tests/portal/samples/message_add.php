<?php
CModule::IncludeModule('im');
$arMessageFields = array(
	"TO_USER_ID" => 5,
	"FROM_USER_ID" => 6,
	"MESSAGE" => "Личное сообщение",
);
echo json_encode(['message' => CIMMessage::Add($arMessageFields)]);
